"""The list of the day as e-mail: at six to a mailbox or a printer of the office, for a day without network."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from email.headerregistry import Address
from zoneinfo import ZoneInfo

from flask_babel import force_locale
from flask_babel import gettext as _
from sqlalchemy import select

from booking import links, spoken
from booking.config import Settings
from booking.db import begin_write, db
from booking.delivery.daylist import READY_AT, NoPdf, as_csv, as_pdf, booked
from booking.delivery.email import Enclosure, Envelope, letter
from booking.delivery.wording import Wording
from booking.outbox.models import Kind, MessageChannel
from booking.outbox.queue import Notice, day_lists, queue_day_list
from booking.slots.clock import day_start, moment_of
from booking.staff.audit import record, worker_of
from booking.townhall.models import Desk, Municipality, Office


def queue_letters(settings: Settings, now: datetime) -> int:
    """Queues today's lists of the offices that have a mailbox, in towns in which it is six o'clock; how many.

    Each once a day, and none where nobody has an appointment. Drawn before anything is locked. Commits each.
    """
    ids = select(Office.id).where(Office.day_list_email.is_not(None)).order_by(Office.id)
    count = sum(_queue_letter(settings, id, now) for id in db.session.scalars(ids).all())
    db.session.rollback()
    return count


def _queue_letter(settings: Settings, office_id: int, now: datetime) -> bool:
    office = db.session.get_one(Office, office_id)
    zone = ZoneInfo(office.municipality.zone)
    local = now.astimezone(zone)
    occasion = f"day-{local:%Y-%m-%d}"
    if local.hour < READY_AT or any(one.subject_id == office.id for one in day_lists(office.municipality_id, occasion)):
        return False
    desks = [desk for desk in office.desks if booked(desk, local.date())]
    if not desks:
        return False
    content, town_id = _letter(settings, office, desks, now), office.municipality_id
    db.session.rollback()
    begin_write()
    over = moment_of(day_start(local.date() + timedelta(days=1), zone))
    notice = Notice(Kind.LIST, occasion, MessageChannel.EMAIL, now, over)
    queue_day_list(town_id, office_id, notice, content, now)
    record(worker_of(town_id), "queue_day_list", ("office", office_id), now)
    db.session.commit()
    return True


def _letter(settings: Settings, office: Office, desks: Sequence[Desk], now: datetime) -> bytes:
    """One letter with a page of each desk, in the language of the town."""
    town = office.municipality
    on = now.astimezone(ZoneInfo(town.zone)).date()
    with force_locale(spoken.locale_of(town.language)):
        day = spoken.day(on, town.language)
        subject = _("Day list: %(office)s, %(day)s", office=office.name(town.language), day=day)
        said = _(
            "The list of the day is attached, a file for each desk. It names people: print it, keep it at the counter,"
            " delete this message, and shred the paper when all of it is entered."
        )
        later = _(
            "It shows what was so on %(when)s. What was booked, moved or cancelled since is not on it: as long as there"
            " is a network, look into the agenda.",
            when=spoken.moment(now, town.zone, town.language),
        )
    agenda = f"{links.town_address(settings.url, settings.hosts, town.slug)}/staff/"
    text = f"{subject}\n\n{said}\n\n{later}\n{agenda}\n"
    html = (
        f'<!doctype html><html lang="{town.language}"><title>{on}</title><p>{said}</p><p>{later}</p>'
        f'<p><a href="{agenda}">{agenda}</a></p></html>'
    )
    sender = Address(town.name(town.language), addr_spec=settings.sender)
    to = office.day_list_email or ""
    envelope = Envelope(sender, to, office.email or town.email, f"balie-day-{office.id}-{on}")
    return letter(Wording(subject, text, html, ""), envelope, now, (), [_page(desk, now, town) for desk in desks])


def _page(desk: Desk, now: datetime, town: Municipality) -> Enclosure:
    """The desk's day as PDF; as CSV where this machine cannot draw pages."""
    on = now.astimezone(ZoneInfo(town.zone)).date()
    try:
        return Enclosure(f"{on}-{desk.key}.pdf", "application/pdf", as_pdf(desk, on, now))
    except NoPdf:
        return Enclosure(f"{on}-{desk.key}.csv", "text/csv", as_csv(desk, on))
