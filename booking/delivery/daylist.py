"""The day of a desk on paper, as PDF and CSV, for a day without network: at six in a folder, if one is set."""

from __future__ import annotations

import csv
import io
import logging
import shutil
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from flask import render_template
from flask_babel import force_locale
from flask_babel import gettext as _
from sqlalchemy import select

from booking import spoken
from booking.appointments.agenda import appointments_of
from booking.appointments.models import Appointment
from booking.appointments.references import grouped
from booking.config import ROOT
from booking.db import db
from booking.delivery.wording import needed
from booking.townhall.models import Desk, Municipality

READY_AT = 6  # o'clock
KEEP = timedelta(days=1)  # they name people
BLANK_LINES = 12  # for those who come without an appointment
FORMULAS = ("=", "+", "-", "@")  # a spreadsheet would run what begins so

_log = logging.getLogger(__name__)


class NoPdf(Exception):
    """This machine cannot draw pages: Debian's libpango is missing."""


@dataclass(frozen=True)
class Line:
    """What somebody at the counter needs to know of an appointment without a screen."""

    time: str
    counter: str
    number: str
    name: str
    services: str
    reference: str
    phone: str
    needs: str
    hour: int  # of its begin, to rule the page by


def as_csv(desk: Desk, day: date) -> bytes:
    """One line an appointment, with a mark of byte order for spreadsheets."""
    out = io.StringIO()
    rows = csv.writer(out)
    with force_locale(spoken.locale_of(_town(desk).language)):
        head = [_("Time"), _("Counter"), _("Number"), _("Name"), _("Service"), _("Reference"), _("Phone"), _("Needs")]
        rows.writerow(head)
        for one in booked(desk, day):
            rows.writerow([_plain(cell) for cell in astuple(_line(one))[:-1]])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def as_pdf(desk: Desk, day: date, now: datetime) -> bytes:
    """A page to print and to write on, tagged so that it can be read aloud (PDF/UA). Raises NoPdf."""
    try:
        from weasyprint import HTML
    except OSError as missing:
        raise NoPdf from missing
    town = _town(desk)
    with force_locale(spoken.locale_of(town.language)):
        page = render_template(
            "messages/day.html",
            language=town.language,
            town=town,
            desk=desk,
            day=spoken.day(day, town.language),
            made=spoken.moment(now, town.zone, town.language),
            lines=[_line(one) for one in booked(desk, day)],
            blank=BLANK_LINES,
        )
    made: bytes = HTML(string=page, base_url=f"{ROOT / 'static'}/").write_pdf(pdf_variant="pdf/ua-1")
    return made


def write_lists(folder: Path, now: datetime) -> int:
    """Writes today's lists of all desks of the towns in which it is six o'clock, once; how many desks.

    Lists of yesterday and before are deleted.
    """
    count = 0
    for town in db.session.scalars(select(Municipality).order_by(Municipality.id)):
        local = now.astimezone(ZoneInfo(town.zone))
        place = folder / town.slug / local.date().isoformat()
        if local.hour < READY_AT or place.is_dir():
            continue
        _forget_old(folder / town.slug, local.date())
        draft = place.with_suffix(".part")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        desks = [desk for office in town.offices for desk in office.desks]
        for desk in desks:
            _write(draft / f"{desk.office.position}-{desk.key}", desk, local.date(), now)
        draft.replace(place)
        count += len(desks)
    return count


def _write(target: Path, desk: Desk, day: date, now: datetime) -> None:
    target.with_suffix(".csv").write_bytes(as_csv(desk, day))
    try:
        target.with_suffix(".pdf").write_bytes(as_pdf(desk, day, now))
    except NoPdf:
        _log.warning("day lists are written as CSV only: install Debian's libpango-1.0-0 and libpangoft2-1.0-0")


def _forget_old(folder: Path, today: date) -> None:
    for old in folder.glob("????-??-??"):
        if date.fromisoformat(old.name) <= today - KEEP:
            shutil.rmtree(old, ignore_errors=True)


def booked(desk: Desk, day: date) -> Sequence[Appointment]:
    """The appointments of the desk's day that stand."""
    return [one for one in appointments_of(desk, day, ZoneInfo(_town(desk).zone)) if one.is_booked]


def _line(one: Appointment) -> Line:
    town = _town(one.counter.desk)
    booking, language = one.booking, town.language
    services = "; ".join(
        item.service.text(language).name + (f" ({item.people})" if item.people > 1 else "") for item in one.items
    )
    return Line(
        time=spoken.clock_time(one.starts_at, town.zone, language),
        counter=str(one.counter.number),
        number=str(one.visit.number or "") if one.visit else "",
        name=booking.name or "",
        services=services,
        reference=grouped(booking.reference) if booking.reference else "",
        phone=spoken.phone(booking.phone) if booking.phone else "",
        needs=", ".join(needed(booking.needs)),
        hour=one.starts_at.astimezone(ZoneInfo(town.zone)).hour,
    )


def _plain(cell: str) -> str:
    """Names that begin like a formula get an apostrophe; phone numbers keep their plus, behind one too."""
    return f"'{cell}" if cell.startswith(FORMULAS) else cell


def _town(desk: Desk) -> Municipality:
    return desk.office.municipality
