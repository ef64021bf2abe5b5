"""Letters to staff: an invitation, or the way to a new password. The link in them is derived when they are sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.headerregistry import Address

from flask import render_template
from flask_babel import force_locale
from flask_babel import gettext as _

from booking import links, spoken
from booking.config import Settings
from booking.db import db
from booking.delivery.email import Envelope, letter
from booking.delivery.wording import Wording
from booking.outbox.models import Kind, Message
from booking.staff.identity import provider_of
from booking.staff.invitations import link_of, open_until
from booking.staff.models import Staff
from booking.townhall.models import Municipality

SAMPLE_FOR = timedelta(days=7)


@dataclass(frozen=True)
class StaffLetter:
    """A letter as it is now: to whom, why it is no longer true, if so, and what it says."""

    town: Municipality
    to: str
    untrue: str | None
    staff: Staff
    until: datetime


def letter_of(message: Message, now: datetime) -> StaffLetter:
    """The letter that the message stands for. With sequence 0 somebody only wants to see what it says."""
    staff = db.session.get_one(Staff, message.subject_id)
    town = db.session.get_one(Municipality, message.municipality_id)
    if message.sequence == 0:
        return StaffLetter(town, staff.email, None, sample_staff(town, message.occasion[:2], now), now + SAMPLE_FOR)
    until = open_until(staff, message.kind)
    untrue = "the account is shut" if not staff.is_active else None
    if until is None or staff.generation != message.sequence:
        untrue = "the link is void"
    return StaffLetter(town, staff.email, untrue, staff, until or now)


def sample_staff(town: Municipality, language: str, now: datetime) -> Staff:
    """Somebody who does not exist; in no session."""
    made = Staff(id=0, municipality_id=town.id, name="Alex", email="alex@example.org", language=language, generation=0)
    made.invited_at = made.asked_at = now
    return made


def words_of(kind: Kind, found: StaffLetter, settings: Settings) -> Wording:
    """The letter in words, in the language of who gets it."""
    town, staff, language = found.town, found.staff, found.staff.language
    address = links.town_address(settings.url, settings.hosts, town.slug)
    with force_locale(spoken.locale_of(language)):
        subject, opening, texts = _says(kind, town.name(language), staff)
        context = {
            "language": language,
            "town": town,
            "subject": subject,
            "opening": opening,
            "texts": texts,
            "action": _("Choose a password") if kind == Kind.FORGOTTEN else _("Sign in for the first time"),
            "link": address + links.join_path(link_of(settings.keys, staff, kind)),
            "until": spoken.moment(found.until, town.zone, language),
        }
        text = render_template("messages/staff.txt", **context)
        return Wording(subject, text, render_template("messages/staff.html", **context), "")


def content_of(message: Message, found: StaffLetter, settings: Settings, now: datetime) -> bytes:
    """The letter as bytes; answers go to the municipality."""
    words = words_of(message.kind, found, settings)
    sender = Address(found.town.name(found.staff.language), addr_spec=settings.sender)
    return letter(words, Envelope(sender, found.to, found.town.email, f"balie-{message.id}"), now)


def _says(kind: Kind, town: str, staff: Staff) -> tuple[str, str, list[str]]:
    """Subject, first sentence and what follows it."""
    if kind == Kind.FORGOTTEN:
        return (
            _("A new password for the appointments of %(town)s", town=town),
            _("Somebody asked for a new password for your account."),
            [_("If it was not you, do nothing: your password stays as it is, and the link ends by itself.")],
        )
    provider = provider_of(staff.municipality_id)
    texts = [_("Hello %(name)s, you sign in with the address to which this letter came.", name=staff.name)]
    if provider is not None:
        texts.append(_("You can sign in with %(name)s instead of a password, too.", name=provider.name))
    return (
        _("Your account for the appointments of %(town)s", town=town),
        _("You are invited to work with the appointments of %(town)s.", town=town),
        texts,
    )
