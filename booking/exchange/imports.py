"""Importing files: one CSV file, or the ZIP of an export with several; all of it, or nothing.

A dry run is the import itself, rolled back: it shows what the same code would do. Both say after each line how far
they are.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from booking.db import db
from booking.exchange import hours, offices, people, services
from booking.exchange.files import Difference, Part, Run, about
from booking.exchange.places import places_of
from booking.planning.impact import Decision, Proposal, apply, lock_appointments, preview
from booking.planning.models import Adjustment
from booking.staff.audit import Actor, record
from booking.townhall.models import Municipality
from booking.townhall.plans import Timetable
from booking.townhall.revisions import raise_town
from booking.townhall.sheets import SheetError, _, as_meant, lines_of, sheet

OFFICES, DESKS, COUNTERS = offices.PARTS
PARTS = (OFFICES, DESKS, services.PART, COUNTERS, hours.PART, people.PART)  # each after what it names
MOST_BYTES = 30_000_000  # of all files in a ZIP, unpacked
ONLY_OUT = ("appointments.csv", "closures.csv", "who_does_what.csv")  # of an export, which nothing reads


@dataclass
class Outcome:
    """What a file does: how many lines add, change or leave what they are about, and what differs."""

    part: Part
    lines: Sequence[Any]
    differences: list[Difference] = field(default_factory=list)
    before: str = ""  # the same file of the town, as it was before it was carried in

    @property
    def added(self) -> int:
        return sum(not one.changes for one in self.differences)

    @property
    def changed(self) -> int:
        return len(self.differences) - self.added

    @property
    def unchanged(self) -> int:
        return len(self.lines) - len(self.differences)

    def changed_before(self) -> str:
        """A file with what was changed, as it was before; empty if nothing was."""
        header, *rows = csv.reader(io.StringIO(self.before)) if self.before else [[]]
        changed = {one.name for one in self.differences if one.changes}
        kept = [row for row in rows if about(self.part.key, dict(zip(header, row, strict=True))) in changed]
        return sheet(header, [[as_meant(cell) for cell in row] for row in kept]) if kept else ""


class Import:
    """Checked files on their way into the town. Begins with reading them: raises SheetError with every problem."""

    def __init__(self, municipality: Municipality, content: bytes, actor: Actor, now: datetime) -> None:
        places = places_of(municipality)
        today = now.astimezone(ZoneInfo(municipality.zone)).date()
        self._run = Run(municipality, places, actor, now, today)
        self.outcomes: list[Outcome] = []
        self.proposals: list[Proposal] = []  # for the appointments that new hours hit
        self.adjustment: Adjustment | None = None  # the change of hours, if there is one
        files = _files(content, municipality.languages)
        problems: list[str] = []
        for part, name, text in files:
            try:
                self.outcomes.append(Outcome(part, part.read(text, places)))
            except SheetError as error:
                problems += [f"{name}: {one}" if name else one for one in error.problems]
        if problems:
            raise SheetError(problems)

    @property
    def lines(self) -> int:
        return sum(len(outcome.lines) for outcome in self.outcomes)

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return self.differing == 0

    @property
    def differing(self) -> int:
        """How many lines add or change something."""
        return sum(len(outcome.differences) for outcome in self.outcomes)

    def preview(self) -> Iterator[int]:
        """Carries all of it in, and finds whom it hits; after each line says how many are done. Roll it back."""
        return self._carried(self._look)

    def carry_out(self, decisions: Mapping[int, Decision]) -> Iterator[int]:
        """The same for good, with what was decided about those whom new hours hit. Flushes at its end.

        Raises SheetError, and Meanwhile or SlotTaken as planning.impact.apply does; then nothing may be committed.
        """
        for outcome in self.outcomes:
            outcome.before = "" if outcome.part is hours.PART else outcome.part.written(self._run.municipality)

        def apply_hours(plan: Timetable) -> None:
            self.adjustment = apply(plan, decisions, self._run.actor, self._run.now)

        return self._carried(apply_hours)

    def rehearse(self, decisions: Mapping[int, Decision]) -> None:
        """Only sets the hours of the files, as far as anybody can be hit by them, with what was decided. Roll it back.

        Raises what carry_out() would, before a long import has begun.
        """
        run = replace(self._run, rules={})
        for outcome in self.outcomes:
            if outcome.part is hours.PART:
                deque(outcome.part.carry(run, outcome.lines), maxlen=0)
        rules = {id: rules for id, rules in run.rules.items() if id}  # at a new counter nobody has an appointment
        if rules:
            apply(Timetable(rules, run.today), decisions, run.actor, run.now)

    def way_back(self) -> bytes | None:
        """The files that put back what carry_out() changed, as a ZIP; None if that is nothing.

        Hours are not in it, because their change can be undone; nor what was new, which is removed by itself.
        """
        files = {f"{one.part.name}.csv": text for one in self.outcomes if (text := one.changed_before())}
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        return packed.getvalue() if files else None

    def _look(self, plan: Timetable) -> None:
        self.proposals = preview(plan, self._run.actor, self._run.now)

    def _carried(self, set_hours: Callable[[Timetable], None]) -> Iterator[int]:
        run, done = self._run, 0
        if any(outcome.part is hours.PART for outcome in self.outcomes):
            lock_appointments([office.id for office in run.municipality.offices], run.now)
        raise_town(run.municipality, run.now)
        for outcome in self.outcomes:
            for difference in outcome.part.carry(run, outcome.lines):
                outcome.differences += [difference] if difference else []
                done += 1
                yield done
        if run.rules:
            set_hours(Timetable(run.rules, run.today))
        files = [outcome.part.name for outcome in self.outcomes]
        record(run.actor, "import", ("municipality", run.municipality.id), run.now, files=files)
        db.session.flush()


def _files(content: bytes, languages: Sequence[str]) -> list[tuple[Part, str, bytes]]:
    """The files, in the order in which they are carried in, each with its name where there are several.

    Raises SheetError.
    """
    if not content.startswith(b"PK"):
        return [(_part(content, languages), "", content)]
    members = _unpacked(content)
    found = [(_part(text, languages), name, text) for name, text in members.items()]
    twice = [name for n, (part, name, _text) in enumerate(found) if any(part is one for one, *_rest in found[:n])]
    if twice:
        raise SheetError([_("%(name)s: another file of the ZIP has the same columns. Take one out.", name=twice[0])])
    if not found:
        raise SheetError([_("The ZIP file has no file that can be imported.")])
    return sorted(found, key=lambda one: PARTS.index(one[0]))


def _unpacked(content: bytes) -> dict[str, bytes]:
    """The CSV files of a ZIP that are for reading, by name."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            members = [one for one in file.infolist() if _is_read(one.filename)]
            if sum(one.file_size for one in members) > MOST_BYTES or len(members) > len(PARTS):
                raise SheetError([_("The ZIP file holds too much. Import its files one by one.")])
            return {one.filename: file.read(one) for one in members}
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, ValueError, OSError, EOFError) as error:
        raise SheetError([_("The ZIP file cannot be opened. Make it again, without a password.")]) from error


def _is_read(name: str) -> bool:
    return name.endswith(".csv") and "/" not in name and name not in ONLY_OUT


def _part(content: bytes, languages: Sequence[str]) -> Part:
    """The kind of the file, told by its columns. Raises SheetError."""
    columns = set(lines_of(content)[0][1])
    shared = {part.name: _likeness(columns, set(part.header(languages))) for part in PARTS}
    best = max(PARTS, key=lambda part: shared[part.name])
    if shared[best.name] < 1 / 8:
        raise SheetError([_("Line 1: no file that can be imported has these columns. Take an export as the model.")])
    return best


def _likeness(some: set[str], others: set[str]) -> float:
    return len(some & others) / len(some | others)
