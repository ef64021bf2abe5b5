"""What a recount may find, and the result of each night, which is kept for staff."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, select

from booking.appointments.models import RecountRun
from booking.db import db, insert_unless_there
from booking.townhall.models import Municipality

NIGHT_HOUR = 3  # local: from then on the day's run is due
KEEP_RUNS = 30
KEEP_FINDINGS = 200  # of each run

_log = logging.getLogger(__name__)


def _l(text: str) -> str:
    """Marks a text for the catalogues: it is English here and on the command line, and translated on pages."""
    return text


class Flaw(StrEnum):
    """What may be wrong; `sentence` says it in English."""

    OVERLAP = "overlap"
    MISSING_TICKS = "missing_ticks"
    STRAY_TICKS = "stray_ticks"
    CANCELLED_TICKS = "cancelled_ticks"
    ORPHAN_TICKS = "orphan_ticks"
    STRAY_HOLD = "stray_hold"
    OUTSIDE_HOURS = "outside_hours"
    FOREIGN_COUNTER = "foreign_counter"
    LONE_APPOINTMENT = "lone_appointment"
    EMPTY_BOOKING = "empty_booking"
    LOST_MESSAGE = "lost_message"
    STALE_MESSAGE = "stale_message"
    NO_CONFIRMATION = "no_confirmation"

    @property
    def sentence(self) -> str:
        return _SENTENCES[self]


_SENTENCES = {
    Flaw.OVERLAP: _l("Two appointments at one counter overlap."),
    Flaw.MISSING_TICKS: _l("Part of an appointment's time is not kept for it: somebody else could take it."),
    Flaw.STRAY_TICKS: _l("Time is kept for an appointment that is at another time or counter."),
    Flaw.CANCELLED_TICKS: _l("Time is still kept for an appointment that was cancelled."),
    Flaw.ORPHAN_TICKS: _l("Time is kept for an appointment or a hold that does not exist."),
    Flaw.STRAY_HOLD: _l("A slot that is being booked keeps time elsewhere."),
    Flaw.OUTSIDE_HOURS: _l("An appointment lies outside the opening hours, or in a closure."),
    Flaw.FOREIGN_COUNTER: _l("An appointment is at a counter that is not this town's."),
    Flaw.LONE_APPOINTMENT: _l("An appointment belongs to no booking."),
    Flaw.EMPTY_BOOKING: _l("A booking has no appointment."),
    Flaw.LOST_MESSAGE: _l("A message is about an appointment that does not exist."),
    Flaw.STALE_MESSAGE: _l("A message still waits though it is no longer true."),
    Flaw.NO_CONFIRMATION: _l("No confirmation was written, though the citizen can be reached."),
}


@dataclass(frozen=True)
class Finding:
    """Something that does not add up: the ids of what is concerned, and where and when it shows, if it does."""

    flaw: Flaw
    ids: dict[str, list[int]]  # {"appointment": [12, 15], "tick": [5900000]}
    counter_id: int | None = None
    at: datetime | None = None

    @property
    def named(self) -> str:
        """Its kind and ids, without a word about people: "overlap: appointment 12, 15; counter 3"."""
        ids = {**self.ids, **({"counter": [self.counter_id]} if self.counter_id else {})}
        return f"{self.flaw}: " + "; ".join(f"{name} {', '.join(map(str, of))}" for name, of in ids.items())


@dataclass
class Counted:
    """How much was counted, and what was found."""

    appointments: int = 0
    ticks: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, other: Counted) -> None:
        self.appointments += other.appointments
        self.ticks += other.ticks
        self.findings += other.findings


def due(now: datetime) -> list[int]:
    """The ids of the municipalities whose night has come: past three o'clock there, and no run of that date."""
    query = select(Municipality.id, Municipality.zone, func.max(RecountRun.ran_on))
    query = query.outerjoin(RecountRun, RecountRun.municipality_id == Municipality.id)
    found = []
    for id, zone, last_on in db.session.execute(query.group_by(Municipality.id, Municipality.zone)):
        local = now.astimezone(ZoneInfo(zone))
        if local.hour >= NIGHT_HOUR and (last_on is None or last_on < local.date()):
            found.append(id)
    return sorted(found)


def keep(municipality_id: int, counted: Counted, now: datetime) -> None:
    """Keeps what tonight's run found, once a night, and forgets the oldest runs; a finding is a warning. Flushes."""
    zone = ZoneInfo(db.session.get_one(Municipality, municipality_id).zone)
    row = {
        "municipality_id": municipality_id,
        "ran_on": now.astimezone(zone).date(),
        "at": now,
        "appointments": counted.appointments,
        "ticks": counted.ticks,
        "found": len(counted.findings),
        "findings": [_row(finding) for finding in counted.findings[:KEEP_FINDINGS]],
    }
    if not insert_unless_there(RecountRun, [row]):
        return  # another worker was faster
    mine = RecountRun.municipality_id == municipality_id
    newest = select(RecountRun.id).where(mine).order_by(RecountRun.at.desc()).limit(KEEP_RUNS)
    db.session.execute(
        delete(RecountRun).where(mine, RecountRun.id.not_in(newest)), execution_options={"synchronize_session": False}
    )
    if counted.findings:
        named = " | ".join(finding.named for finding in counted.findings[:KEEP_FINDINGS])
        _log.warning("recount of municipality %s: %s found: %s", municipality_id, len(counted.findings), named)


def last_run(municipality_id: int) -> RecountRun | None:
    """The municipality's latest run."""
    mine = select(RecountRun).where(RecountRun.municipality_id == municipality_id)
    return db.session.scalars(mine.order_by(RecountRun.at.desc()).limit(1)).first()


def findings_of(run: RecountRun) -> list[Finding]:
    """The findings that were kept of a run."""
    return [_finding(row) for row in run.findings]


def _row(finding: Finding) -> dict[str, Any]:
    return {**asdict(finding), "at": finding.at and finding.at.isoformat()}


def _finding(row: Mapping[str, Any]) -> Finding:
    at = row["at"] and datetime.fromisoformat(row["at"])
    return Finding(Flaw(row["flaw"]), row["ids"], row["counter_id"], at)
