"""What a message says, in the citizen's language: one source for the mail's two parts and for the text message."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from flask import render_template
from flask_babel import force_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from booking import links, spoken
from booking.appointments.models import Appointment
from booking.appointments.needs import NEEDS, needs_in
from booking.appointments.papers import to_bring
from booking.appointments.references import grouped
from booking.config import LANGUAGES, Settings
from booking.delivery.segments import folded, segments
from booking.outbox.models import Kind
from booking.planning.impact import latest_hit
from booking.planning.models import Cause
from booking.privacy.forget import forgotten_on
from booking.townhall.models import Municipality

ACCESS_NEEDS = {
    "extra_time": _l("more time"),
    "interpreter": _l("brings an interpreter"),
    "loop": _l("hearing loop"),
    "step_free": _l("no steps"),
    "fetch": _l("come and fetch"),
}  # by the words of appointments/needs.py


def needed(words: str | None) -> list[str]:
    """What somebody needs to be able to come, in words for staff and for themselves."""
    return [str(ACCESS_NEEDS[need]) for need in NEEDS if need in needs_in(words)]


@dataclass(frozen=True)
class Wording:
    """A message in words. `html` and `text` say the same; `short` is the text message."""

    subject: str
    text: str
    html: str
    short: str


def wording(
    kind: Kind, appointments: Sequence[Appointment], settings: Settings, listed: Sequence[Appointment] = ()
) -> Wording:
    """The words for the appointments of one booking as they stand now, earliest first; for a list those `listed`."""
    first = appointments[0]
    town, language = _town(first), language_of(first)
    with force_locale(spoken.locale_of(language)):
        subject, opening = _news(kind, first, language)
        opening = because_of_us(kind, first) or opening
        context = {
            "language": language,
            "town": town,
            "subject": subject,
            "opening": opening,
            "visits": [] if listed else [_facts(one, language) for one in appointments],
            "proofs": [] if listed else _proofs(first, settings),
            "bring": [] if listed else to_bring([one for one in appointments if one.is_booked], language),
            "listed": [(_when(one, language), own_address(one, settings)) for one in listed],
            "link": own_address(first, settings),
            "is_booked": first.is_booked,
            "erased_on": spoken.day(forgotten_on(first.booking, town), language),
            "phone": spoken.phone(town.phone) if town.phone else "",
            "desk": first.counter.desk.name(language),
        }
        text = render_template("messages/letter.txt", **context)
        html = render_template("messages/letter.html", **context)
        return Wording(subject, text, html, _short(kind, context, first))


def without_code(text: str) -> str:
    """The letter as one may read it who should not open the booking: without its four digits, in any language."""
    terms = []
    for language in LANGUAGES:
        with force_locale(spoken.locale_of(language)):
            terms.append(re.escape(_("Code")))
    return re.sub(rf"(?m)^({'|'.join(terms)})(\s*:\s*)\d{{4}}\s*$", r"\1\2…", text)


def language_of(appointment: Appointment) -> str:
    """The language to write in: the citizen's, unless the municipality writes in its own to all."""
    town = _town(appointment)
    return town.language if town.speaks == "authoritative" else appointment.booking.language


def own_address(appointment: Appointment, settings: Settings) -> str:
    """The secret address of the booking's own page, from outside."""
    booking = appointment.booking
    town = links.town_address(settings.url, settings.hosts, _town(appointment).slug)
    token = links.token(settings.keys, "booking", booking.id, booking.generation)
    return town + links.own_path(language_of(appointment), token)


def _town(appointment: Appointment) -> Municipality:
    return appointment.counter.desk.office.municipality


def _news(kind: Kind, appointment: Appointment, language: str) -> tuple[str, str]:
    """Subject and first sentence. Neither names the service: the subject is seen by whoever looks at the screen."""
    when = _when(appointment, language)
    news = {
        Kind.CONFIRMATION: (
            _("Your appointment on %(when)s", when=when),
            _("Your appointment is booked."),
        ),
        Kind.REMINDER: (
            _("Reminder: your appointment on %(when)s", when=when),
            _("This is a reminder of your appointment. If you cannot come, please cancel: then others can."),
        ),
        Kind.MOVE: (
            _("Your appointment is now on %(when)s", when=when),
            _("Your appointment has been moved to another time."),
        ),
        Kind.CANCELLATION: (
            _("Cancelled: your appointment on %(when)s", when=when),
            _("Your appointment has been cancelled. You need not come."),
        ),
        Kind.LATE: (
            _("We run late: your appointment on %(when)s", when=when),
            _(
                "We are sorry: the counter runs about %(minutes)s minutes late. You may come so much later, and keep"
                " your turn.",
                minutes=appointment.counter.late_minutes,
            ),
        ),
        Kind.LIST: (
            _("Your appointments to come"),
            _(
                "Somebody wanted to make one more appointment with this address, but no more can be made with it now."
                " These are still to come; cancel one that you do not need."
            ),
        ),
    }
    return news[kind]


def because_of_us(kind: Kind, appointment: Appointment) -> str:
    """The first sentences where it was not the citizen who changed the appointment, but we."""
    hit = latest_hit(appointment) if kind in (Kind.MOVE, Kind.CANCELLATION) else None
    if hit is None:
        return ""
    if hit.adjustment.cause is not None:
        return cause_told(hit.adjustment.cause)
    texts: dict[Kind, str] = {
        Kind.MOVE: _(
            "We cannot receive you at the time of your appointment. We are sorry. A new time is kept for you:"
            " say on the page below that it suits you, or choose another one. You have the first choice."
        ),
        Kind.CANCELLATION: _we_must_cancel(),
    }
    return texts[kind]


def cause_told(cause: Cause) -> str:
    """What a citizen is told whose appointment the office cancelled, in the locale of the moment."""
    if cause == Cause.ASKED:
        as_asked: str = _("As you asked us, your appointment has been cancelled. You need not come.")
        return as_asked
    because = {
        Cause.ILLNESS: _("The reason: somebody at the counter is ill."),
        Cause.FAULT: _("The reason: something that we need at the counter does not work."),
        Cause.CLOSING: _("The reason: the counter has to close earlier."),
    }
    return f"{_we_must_cancel()} {because.get(cause, '')}".strip()


def _we_must_cancel() -> str:
    text: str = _(
        "We cannot receive you at the time of your appointment and have to cancel it. We are sorry. You need not come."
    )
    return text


def _facts(appointment: Appointment, language: str) -> list[tuple[str, str]]:
    """When and where one appointment is, and what it is for."""
    office = appointment.counter.desk.office
    people = max(item.people for item in appointment.items)
    facts = [
        (_("When"), _when(appointment, language)),
        (_("Where"), ", ".join(part for part in (office.name(language), office.address) if part)),
        (_("What for"), " + ".join(item.service.text(language).name for item in appointment.items)),
        (_("People"), str(people) if people > 1 else ""),
    ]
    return [(term, fact) for term, fact in facts if fact]


def _proofs(appointment: Appointment, settings: Settings) -> list[tuple[str, str]]:
    """What opens the booking on the page that asks for it, and on the phone."""
    booking = appointment.booking
    if not booking.reference or not appointment.is_booked:
        return []
    code = links.code(settings.keys[0], booking.id, booking.generation)
    return [(_("Reference"), grouped(booking.reference)), (_("Code"), code)]


def _when(appointment: Appointment, language: str) -> str:
    return spoken.moment(appointment.starts_at, _town(appointment).zone, language)


def _short(kind: Kind, context: dict[str, Any], appointment: Appointment) -> str:
    """Who, when, where and how to change it; no name, no service. Without the where if it then fits one part."""
    language, office = context["language"], appointment.counter.desk.office
    zone = _town(appointment).zone
    values = {
        "town": context["town"].name(language),
        "day": spoken.short_day(appointment.starts_at.astimezone(ZoneInfo(zone)).date(), language),
        "time": spoken.clock_time(appointment.starts_at, zone, language),
        "link": context["link"],
    }
    values["minutes"] = str(appointment.counter.late_minutes)
    full, plain = (folded(_short_text(kind, values, place)) for place in (f", {office.name(language)}", ""))
    return plain if segments(plain) < segments(full) else full


def _short_text(kind: Kind, values: dict[str, str], place: str) -> str:
    texts = {
        Kind.CONFIRMATION: _(
            "%(town)s: appointment %(day)s %(time)s%(place)s. Change: %(link)s", place=place, **values
        ),
        Kind.REMINDER: _(
            "%(town)s: reminder, appointment %(day)s %(time)s%(place)s. Cancel: %(link)s", place=place, **values
        ),
        Kind.MOVE: _("%(town)s: appointment now %(day)s %(time)s%(place)s. Change: %(link)s", place=place, **values),
        Kind.CANCELLATION: _("%(town)s: appointment %(day)s %(time)s is cancelled. Book anew: %(link)s", **values),
        Kind.LATE: _(
            "%(town)s: we run %(minutes)s minutes late, appointment %(day)s %(time)s. You may come later.", **values
        ),
        Kind.LIST: _("%(town)s: no more can be booked with this number. To come: %(day)s %(time)s, %(link)s", **values),
    }
    text: str = texts[kind]
    return text
