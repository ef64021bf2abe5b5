"""Sending what is due: claim, read again, build the bytes once, hand over outside any transaction, record."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.headerregistry import Address
from functools import partial

from sqlalchemy import bindparam, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import joinedload

from booking import links
from booking.appointments.limits import open_appointments
from booking.appointments.models import Appointment, AppointmentService, Booking
from booking.appointments.notices import USEFUL, is_exempt, quiet_hours, reminder_rules
from booking.calendars.invitation import Invitation, Mailbox, invitation
from booking.config import Settings
from booking.db import begin_write, db
from booking.delivery.doors import Door, Parcel, door
from booking.delivery.email import Envelope, in_ascii, letter
from booking.delivery.errors import Away, BrokeOff, Later, SendError
from booking.delivery.fallback import give_up, recipient
from booking.delivery.receipts import decide_undecided, receipts_path
from booking.delivery.sample import sample
from booking.delivery.segments import segments
from booking.delivery.staff_letter import content_of, letter_of
from booking.delivery.visit import told_together
from booking.delivery.wording import language_of, wording
from booking.outbox.models import TO_STAFF, Kind, Message, MessageChannel, MessageState
from booking.outbox.providers import came_back, provider, turn, went_away
from booking.outbox.queue import claim, defer, due_ids, end, put_off, record_sent, release
from booking.staff.models import Staff
from booking.townhall.models import Counter, Desk, Office

BATCH = 500
INVITING = frozenset({Kind.CONFIRMATION, Kind.MOVE, Kind.CANCELLATION})  # they change what stands in calendars
A_MINUTE = timedelta(minutes=1)
EMAIL, SMS = MessageChannel.EMAIL, MessageChannel.SMS

Clock = Callable[[], datetime]

_log = logging.getLogger(__name__)


def send_due(
    settings: Settings, clock: Clock, channel: MessageChannel, wait: Callable[[float], None] = time.sleep
) -> int:
    """Sends what is due by this channel, up to a batch, over one connection; how many it tried. Commits each.

    A provider that is away is asked again after a pause, with the message that waits longest. `wait` is called with
    seconds where a limit is set on how fast the provider may be given messages.
    """
    known = provider(channel)
    was_away = known is not None and known.away_since is not None
    is_resting = known is not None and known.retry_at is not None and clock() < known.retry_at
    ids = [] if is_resting else due_ids(channel, clock(), BATCH)
    db.session.rollback()
    count, per_second = 0, limit(settings, channel)
    with door(settings, channel) as out:
        try:
            for id in ids:
                if per_second:
                    _wait_for_turn(channel, per_second, clock, wait)
                if _send_one(settings, out, id, clock):
                    count += 1
                    if was_away:
                        was_away = _note_return(channel)
        except (Away, BrokeOff) as error:
            _note_absence(channel, str(error), clock())
            return 0
    return count


def settle(settings: Settings, clock: Clock) -> None:
    """Finds out what became of text messages of which nobody knows whether they were sent. Commits each."""
    try:
        decide_undecided(settings, clock)
    except Away as error:
        _note_absence(SMS, str(error), clock())


def limit(settings: Settings, channel: MessageChannel) -> float:
    """How many messages a second the provider may be given; 0 where there is no limit."""
    account = settings.smtp if channel == EMAIL else settings.twilio
    return account.per_second if account else 0


def _send_one(settings: Settings, out: Door, id: int, clock: Clock) -> bool:
    """Sends one message if nobody else has claimed it; whether it was ours. Raises Away, BrokeOff. Commits."""
    parcel, is_ours = _claimed(settings, id, clock())
    if parcel is None:
        return is_ours
    try:
        provider_id = out.send(parcel)
    except SendError as error:
        _record_failure(parcel, error, clock())
        if isinstance(error, Away | BrokeOff):
            raise
        return True
    begin_write()
    record_sent(id, provider_id, clock())
    db.session.commit()
    return True


def _claimed(settings: Settings, id: int, now: datetime) -> tuple[Parcel | None, bool]:
    """Claims the message and builds what to send; whether it was free. Commits: no transaction is open over the call.

    One that should not go ends here, with the reason, and so does one that cannot be written: it must not keep others.
    """
    begin_write()
    message = claim(id, now)
    if message is None:
        db.session.rollback()
        return None, False
    try:
        parcel = _parcel(settings, message, now)
    except OperationalError:
        raise  # the database is away: nothing can be recorded
    except Exception as error:
        _log.error("message %s: %s", id, type(error).__name__)
        db.session.rollback()
        begin_write()
        give_up(db.session.get_one(Message, id), f"not written: {type(error).__name__}", now)
        parcel = None
    db.session.commit()
    return parcel, True


def _parcel(settings: Settings, message: Message, now: datetime) -> Parcel | None:
    """What to send, read again from the booking; None, with the reason recorded, if it should not go now."""
    if message.subject_kind == "office":
        return _day_list_parcel(message, now)
    about = _of_staff(settings, message, now) if message.kind in TO_STAFF else _about(settings, message, now)
    if now >= message.expires_at:
        end(message, MessageState.EXPIRED, now, "too late")
    elif about.untrue or about.to is None:
        end(message, MessageState.DROPPED, now, about.untrue or "no contact")
    elif about.calm_at is not None:
        put_off(message, about.why_later, about.calm_at)
    else:
        message.content = message.content or about.content()
        if message.channel == SMS:
            message.segments = segments(message.content.decode())
        file_name = f"{about.slug}/{message.id}.{'eml' if message.channel == EMAIL else 'txt'}"
        receipts_to = None
        if settings.is_https:  # nothing else can be reached by who sends receipts
            receipts_to = links.town_address(settings.url, settings.hosts, about.slug) + receipts_path(message.id)
        return Parcel(message.id, message.channel, about.to, message.content, file_name, receipts_to)
    return None


def _day_list_parcel(message: Message, now: datetime) -> Parcel | None:
    """The list of an office's day as it was drawn, to the mailbox that the office has now."""
    office = db.session.get(Office, message.subject_id)
    if now >= message.expires_at:
        end(message, MessageState.EXPIRED, now, "too late")
    elif office is None or office.day_list_email is None or message.content is None:
        end(message, MessageState.DROPPED, now, "no mailbox")
    else:
        file_name = f"{office.municipality.slug}/{message.id}.eml"
        return Parcel(message.id, message.channel, office.day_list_email, message.content, file_name, None)
    return None


@dataclass(frozen=True)
class _About:
    """A message as it stands now: of which town, who gets it, why it is no longer true, if so, until when and why it is
    better kept back, and what it says."""

    slug: str
    to: str | None
    untrue: str | None
    calm_at: datetime | None
    content: Callable[[], bytes]
    why_later: str = "quiet hours"


def _of_staff(settings: Settings, message: Message, now: datetime) -> _About:
    found = letter_of(message, now)
    content = partial(content_of, message, found, settings, now)
    return _About(found.town.slug, found.to, found.untrue, None, content)


@dataclass(frozen=True)
class _Told:
    """An appointment that a message is about, who gets it, and all appointments that it tells of.

    `waits_for` is the one whose message is to tell of them all and has not gone yet.
    """

    appointment: Appointment
    to: str | None
    untrue: str | None
    told: Sequence[Appointment]
    waits_for: Appointment | None = None


def _about(settings: Settings, message: Message, now: datetime) -> _About:
    found = _told(message, now)
    slug = found.appointment.counter.desk.office.municipality.slug
    content = partial(_content, settings, message, found, now)
    if found.waits_for is not None:
        why = f"told with appointment {found.waits_for.id}, if that goes"
        return _About(slug, found.to, found.untrue, now + A_MINUTE, content, why)
    return _About(slug, found.to, found.untrue, _calm_at(message, found.appointment, now), content)


def _told(message: Message, now: datetime) -> _Told:
    if message.subject_kind == "staff":
        staff = db.session.get_one(Staff, message.subject_id)
        shown = sample(message.municipality_id, message.kind, message.occasion[:2], now)
        if shown is None:
            raise LookupError("There is no counter with a service.")
        return _Told(shown, staff.email, None, [shown])
    appointment = db.session.scalars(_ALL_OF_IT, {"id": message.subject_id}).unique().one()
    to, untrue = recipient(appointment, message.channel), _why_not(message, appointment)
    if untrue is not None or message.kind == Kind.LIST or len(appointment.booking.appointments) == 1:
        return _Told(appointment, to, untrue, [appointment])
    found = told_together(message, appointment)
    if found.carrier is appointment:
        return _Told(appointment, to, None, found.told)
    if found.state == MessageState.SENT:
        return _Told(appointment, to, f"told with appointment {found.carrier.id}", found.told)
    return _Told(appointment, to, None, found.told, waits_for=found.carrier)


_PLACE = joinedload(Appointment.counter).joinedload(Counter.desk).joinedload(Desk.office)
_ALL_OF_IT = (  # in one statement, because thousands fall due together
    select(Appointment)
    .where(Appointment.id == bindparam("id"))
    .options(
        joinedload(Appointment.booking).joinedload(Booking.appointments),
        joinedload(Appointment.items).joinedload(AppointmentService.service),
        _PLACE.joinedload(Office.municipality),
    )
)


def _why_not(message: Message, appointment: Appointment) -> str | None:
    """Why what the message says is no longer true."""
    if appointment.sequence != message.sequence:
        return "the appointment was changed"
    if not appointment.is_booked and message.kind != Kind.CANCELLATION:
        return "the appointment was cancelled"
    return None


def _calm_at(message: Message, appointment: Appointment, now: datetime) -> datetime | None:
    """When a reminder that comes late, in the quiet hours, can go instead and still be of use."""
    if message.kind != Kind.REMINDER or message.subject_kind != "appointment":
        return None
    municipality = appointment.counter.desk.office.municipality
    rules = reminder_rules(municipality, [item.service for item in appointment.items])
    if any(rule["occasion"] == message.occasion and is_exempt(rule, message.channel) for rule in rules):
        return None
    quiet = quiet_hours(municipality, now)
    return quiet[1] if quiet and quiet[1] <= appointment.starts_at - USEFUL else None


def _content(settings: Settings, message: Message, about: _Told, now: datetime) -> bytes:
    appointment = about.appointment
    listed: Sequence[Appointment] = ()
    if message.kind == Kind.LIST:
        is_sample = message.subject_kind == "staff"
        listed = [appointment] if is_sample else open_appointments(appointment.booking, message.channel, now)
    words = wording(message.kind, about.told, settings, listed)
    if message.channel == SMS:
        return words.short.encode()
    desk = appointment.counter.desk
    language, municipality = language_of(appointment), desk.office.municipality
    sender, to = Address(municipality.name(language), addr_spec=settings.sender), about.to or ""
    told = about.told if message.kind in INVITING else ()
    invites = [_invitation(settings, one, to, now) for one in told]
    return letter(words, Envelope(sender, to, desk.email, f"balie-{message.id}"), now, invites)


def _invitation(settings: Settings, appointment: Appointment, to: str, now: datetime) -> Invitation:
    language, municipality = language_of(appointment), appointment.counter.desk.office.municipality
    between = (Mailbox(settings.sender, municipality.name(language)), Mailbox(in_ascii(to)))
    town = links.town_address(settings.url, settings.hosts, municipality.slug)
    return invitation(appointment, language, between, town + links.find_path(language), now)


def _record_failure(parcel: Parcel, error: SendError, now: datetime) -> None:
    """What is to be done with a message that was not handed over, or perhaps not."""
    begin_write()
    message = db.session.get(Message, parcel.id)
    if message is None or message.state != MessageState.SENDING:
        pass  # erased meanwhile, or a receipt came faster, or another worker: our claim had run out
    elif isinstance(error, Away):
        release(message.id, str(error))
    elif isinstance(error, BrokeOff) and message.channel == SMS:
        message.reason = f"undecided: {error}"[:200]  # it stays claimed until it can be looked up
    elif isinstance(error, BrokeOff | Later):
        defer(message, str(error), now)
    else:
        give_up(message, str(error), now)
    db.session.commit()


def _wait_for_turn(channel: MessageChannel, per_second: float, clock: Clock, wait: Callable[[float], None]) -> None:
    begin_write()
    at = turn(channel, per_second, clock())
    db.session.commit()
    seconds = (at - clock()).total_seconds()
    if seconds > 0:
        wait(seconds)


def _note_absence(channel: MessageChannel, reason: str, now: datetime) -> None:
    begin_write()
    went_away(channel, reason, now)
    db.session.commit()


def _note_return(channel: MessageChannel) -> bool:
    begin_write()
    came_back(channel)
    db.session.commit()
    return False
