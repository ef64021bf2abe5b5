"""What a message says, in the citizen's language: one source for the mail's two parts and for the text message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from flask import render_template
from flask_babel import force_locale
from flask_babel import gettext as _

from booking import links, spoken
from booking.appointments.booking import demand_of
from booking.appointments.models import Appointment
from booking.appointments.references import grouped
from booking.config import Settings
from booking.outbox.models import Kind
from booking.privacy.forget import forgotten_on

GSM_7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_PLAINER = str.maketrans("ëïêçâôîûÈÊËÎÏÔÛÙÂÀ’‘“”–—\u00a0\u202f", "eiecaoiuEEEIIOUUAA''\"\"--  ")


@dataclass(frozen=True)
class Wording:
    """A message in words. `html` and `text` say the same; `short` is the text message."""

    subject: str
    text: str
    html: str
    short: str


def wording(kind: Kind, appointment: Appointment, settings: Settings, listed: Sequence[Appointment] = ()) -> Wording:
    """The words for one appointment as it stands now; for a list those that are `listed`."""
    language = appointment.booking.language
    with force_locale(spoken.locale_of(language)):
        subject, opening = _news(kind, appointment)
        context = {
            "language": language,
            "town": appointment.counter.desk.office.municipality,
            "subject": subject,
            "opening": opening,
            "facts": [] if listed else _facts(appointment),
            "bring": _bring(appointment) if appointment.is_booked and not listed else [],
            "listed": [(_when(one), own_address(one, settings)) for one in listed],
            "link": own_address(appointment, settings),
            "is_booked": appointment.is_booked,
            "erased_on": spoken.day(_erased_on(appointment), language),
            "desk": appointment.counter.desk.name(language),
        }
        text = render_template("messages/letter.txt", **context)
        html = render_template("messages/letter.html", **context)
        return Wording(subject, text, html, _short(kind, context, appointment))


def _bring(appointment: Appointment) -> list[str]:
    return demand_of(appointment).service.text(appointment.booking.language).bring


def own_address(appointment: Appointment, settings: Settings) -> str:
    """The secret address of the booking's own page, from outside."""
    booking = appointment.booking
    town = links.town_address(settings.url, settings.hosts, appointment.counter.desk.office.municipality.slug)
    return town + links.own_path(
        booking.language, links.token(settings.keys, "booking", booking.id, booking.generation)
    )


def folded(text: str) -> str:
    """The text in the letters that a text message can hold at 160 a part, where it stays readable (GSM 03.38)."""
    plainer = text.translate(_PLAINER).replace("œ", "oe")
    return plainer if set(plainer) <= GSM_7 else text


def _news(kind: Kind, appointment: Appointment) -> tuple[str, str]:
    """Subject and first sentence. Neither names the service: the subject is seen by whoever looks at the screen."""
    when = _when(appointment)
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
        Kind.LIST: (
            _("Your appointments to come"),
            _(
                "Somebody wanted to make one more appointment with this address, but no more can be made with it now."
                " These are still to come; cancel one that you do not need."
            ),
        ),
    }
    return news[kind]


def _facts(appointment: Appointment) -> list[tuple[str, str]]:
    language, office = appointment.booking.language, appointment.counter.desk.office
    demand = demand_of(appointment)
    facts = [
        (_("When"), _when(appointment)),
        (_("Where"), f"{office.name(language)}, {office.address}"),
        (_("What for"), demand.service.text(language).name),
    ]
    if demand.people > 1:
        facts.append((_("People"), str(demand.people)))
    if appointment.booking.reference:
        facts.append((_("Reference"), grouped(appointment.booking.reference)))
    return facts


def _when(appointment: Appointment) -> str:
    return spoken.moment(appointment.starts_at, _zone(appointment), appointment.booking.language)


def _zone(appointment: Appointment) -> str:
    return appointment.counter.desk.office.municipality.zone


def _erased_on(appointment: Appointment) -> date:
    return forgotten_on(appointment.booking, appointment.counter.desk.office.municipality)


def _short(kind: Kind, context: dict[str, object], appointment: Appointment) -> str:
    """Who, when, where and how to change it; no name, no service."""
    language, office = appointment.booking.language, appointment.counter.desk.office
    local = appointment.starts_at.astimezone(ZoneInfo(_zone(appointment)))
    values = {
        "town": office.municipality.name(language),
        "day": spoken.short_day(local.date(), language),
        "time": spoken.clock_time(appointment.starts_at, _zone(appointment), language),
        "office": office.name(language),
        "link": context["link"],
    }
    texts = {
        Kind.CONFIRMATION: _("%(town)s: appointment %(day)s %(time)s, %(office)s. Change: %(link)s", **values),
        Kind.REMINDER: _("%(town)s: reminder, appointment %(day)s %(time)s, %(office)s. Cancel: %(link)s", **values),
        Kind.MOVE: _("%(town)s: appointment now %(day)s %(time)s, %(office)s. Change: %(link)s", **values),
        Kind.CANCELLATION: _("%(town)s: appointment %(day)s %(time)s is cancelled. Book anew: %(link)s", **values),
        Kind.LIST: _("%(town)s: no more can be booked with this number. To come: %(day)s %(time)s, %(link)s", **values),
    }
    return folded(texts[kind])
