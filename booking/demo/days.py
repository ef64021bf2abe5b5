"""Six weeks of appointments for the demo town hall: about half full, and the same for the same local day.

Everything is drawn from generators whose seed is the day, the counter and a word, and everything was made before
today began; only what became of messages and visits by now depends on the time of day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import reduce
from itertools import pairwise
from operator import or_
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import insert, select

from booking.appointments.booking import Citizen
from booking.appointments.models import (
    Appointment,
    AppointmentService,
    AppointmentState,
    Booking,
    Channel,
    Occupancy,
    Visit,
)
from booking.appointments.notices import LATE_NEWS, reminder_due
from booking.appointments.offers import Demand
from booking.appointments.references import ALPHABET, LENGTH
from booking.appointments.timelines import CounterLine, load_lines
from booking.db import db
from booking.demo.today import Expected, visits_until
from booking.outbox.models import Kind, Message, MessageChannel, MessageState
from booking.outbox.queue import Notice
from booking.slots.clock import day_start, moment_of, tick_from, tick_of
from booking.slots.timeline import between, first_in, room_around, ticks_in
from booking.townhall.hours import Horizon, Opening
from booking.townhall.models import Municipality, Service
from booking.townhall.spelling import words_in

SEED = "Lindebeek"
DAYS = 42
LOOK_BACK = 28  # nothing was booked earlier than so many days ago
FULL_TODAY, FULL_AT_LAST = 0.80, 0.22  # shares of the open time that are taken
CANCELLED = 0.03
MISSES = 8  # tries that found no room, after which a day counts as full

WANTED = {  # how often people come for a service, against 1 for any other
    **dict.fromkeys(("eid_apply", "eid_collect"), 14),
    **dict.fromkeys(("passport_adult", "passport_collect", "address_change", "driving_licence_renew"), 8),
    **dict.fromkeys(("kids_id_apply", "kids_id_collect", "foreigner_card_apply", "build_info"), 6),
    **dict.fromkeys(("passport_minor", "build_pre_simple", "permit_status", "business_register"), 5),
    **dict.fromkeys(("driving_licence_provisional", "criminal_record_595", "starter_intake", "renovation_grant"), 4),
    **dict.fromkeys(("birth_declaration", "marriage_info", "nationality_info", "cohabitation_declare"), 3),
    **dict.fromkeys(("horeca_intake", "terrace_permit", "property_information", "public_space_use"), 3),
    **dict.fromkeys(("pin_reset", "marriage_declaration", "business_change", "market_stall"), 2),
    **dict.fromkeys(("gender_registration", "cohabitation_end_one", "fireworks", "night_shop"), 0.3),
}
PEOPLE, PEOPLE_WEIGHTS = (1, 2, 3), (80, 14, 6)
CHANNELS = {Channel.WEB: 40, Channel.PHONE: 40, Channel.COUNTER: 20}  # those that fall outside opening hours become web
REACHED_BY = ("email", "email phone", "phone", "")
REACHED_WEIGHTS = {Channel.WEB: (55, 30, 12, 3), Channel.PHONE: (25, 20, 35, 20), Channel.COUNTER: (15, 15, 30, 40)}
PEOPLE_FROM: tuple[tuple[int, str, str, str], ...] = (  # weight, language, given names, family names
    (
        56,
        "nl",
        "Anke Bram Dirk Els Femke Griet Hilde Jan Jolien Koen Lies Maarten Nele Pieter Sofie Tom Wim Lore Stijn Rik",
        "Peeters,Janssens,Maes,Jacobs,Willems,Goossens,Claes,Wouters,De Smet,Van den Broeck,Vermeulen,Aerts,De Wilde",
    ),
    (10, "fr", "Amélie Benoît Claire Didier Élise Julien Manon Thierry", "Dubois,Lambert,Dupont,Martin,Leroy,Renard"),
    (5, "de", "Anja Dieter Heike Jürgen Katrin Uwe", "Müller,Schmitz,Küpper,Weber,Hoffmann"),
    (8, "nl", "Ayşe Emre Elif Mehmet Zeynep Murat", "Yildiz,Kaya,Demir,Öztürk,Şahin"),
    (9, "nl", "Amina Youssef Fatima Karim Samira Bilal", "El Amrani,Benali,Azzouzi,Bouzid,Haddad"),
    (5, "en", "Agnieszka Piotr Kasia Tomasz Magda", "Nowak,Kowalski,Wójcik,Zielińska,Mazur"),
    (4, "en", "Oksana Andrei Ioana Priya Samuel Grace", "Kovalenko,Popescu,Sharma,Okafor,Walker"),
    (3, "fr", "Nadia Rachid Grâce Patrick", "Mbala,Ilunga,Bensaïd,Nkosi"),
)


@dataclass(frozen=True)
class Draft:
    """One appointment with its booking, as it will stand in the tables."""

    counter_id: int
    demand: Demand
    starts_at: datetime
    ticks: range  # what it takes of its counter, nothing when it is cancelled
    citizen: Citizen
    channel: Channel
    made_at: datetime
    first_free_at: datetime | None
    cancelled_at: datetime | None
    reference: str
    uid: str


Booked = tuple[int, Draft]  # the id that the appointment got


@dataclass(frozen=True)
class Period:
    """What is drawn from: the services, and the counters without appointments, from `LOOK_BACK` days ago on."""

    today: date
    zone: ZoneInfo
    base: int  # the tick of bit 0
    days: Sequence[range]  # the bits of each of the six weeks' days, today first
    lines: Sequence[CounterLine]
    services: Mapping[int, Service]
    _starts: dict[tuple[int, int], int] = field(default_factory=dict)

    @property
    def midnight(self) -> datetime:
        """When today began."""
        return moment_of(self.base + self.days[0].start)

    def is_open(self, moment: datetime) -> bool:
        """Whether any counter serves at this moment."""
        bit = tick_of(moment) - self.base
        return any(line.opening.open >> bit & 1 for line in self.lines)

    def first_free(self, demand: Demand, moment: datetime) -> datetime | None:
        """The first start from the moment on at any counter, were there no appointments."""
        asked = (demand.service.id, demand.people)
        if asked not in self._starts:
            doing = (line for line in self.lines if demand.service.id in line.services)
            self._starts[asked] = reduce(or_, (line.fits(demand.ticks) for line in doing), 0)
        bit = max(tick_from(moment) - self.base, 0)
        tick = first_in(self._starts[asked] >> bit, self.base + bit)
        return None if tick is None else moment_of(tick)


def book_days(town: Municipality, now: datetime, seed: str = SEED) -> int:
    """Adds the appointments of six weeks from today on, with their messages and today's visits until now.

    Returns how many appointments there are. Flushes.
    """
    period = _period(town, now)
    drafts = _drafts(period, seed)
    booked = list(zip(_insert_bookings(town, drafts), drafts, strict=True))
    _insert_ticks(booked)
    messages = [row for one in booked for row in _messages(town, one, now)]
    db.session.connection().execute(insert(Message), messages)
    visits = list(visits_until(town, _expected_today(period, booked), now))
    if visits:
        db.session.connection().execute(insert(Visit), visits)
    return len(booked)


def _period(town: Municipality, now: datetime) -> Period:
    zone = ZoneInfo(town.zone)
    today = now.astimezone(zone).date()
    horizon = Horizon(today - timedelta(days=LOOK_BACK), LOOK_BACK + DAYS, zone)
    lines = [line for one in town.offices for line in load_lines(one, one.revision, horizon, now).counters]
    services = db.session.scalars(select(Service).where(Service.municipality_id == town.id))
    bounds = [day_start(today + timedelta(days=n), zone) - horizon.base for n in range(DAYS + 1)]
    days = [range(*pair) for pair in pairwise(bounds)]
    return Period(today, zone, horizon.base, days, lines, {service.id: service for service in services})


def _drafts(period: Period, seed: str) -> list[Draft]:
    """All appointments, in the order in which they were made; no two with the same reference."""
    drafts = {
        draft.reference: draft
        for offset in range(DAYS)
        for line in period.lines
        for draft in _day(period, line, offset, _generator(seed, period.today, offset, line.counter_id))
    }
    return sorted(drafts.values(), key=lambda draft: (draft.made_at, draft.uid))


def _generator(*seed: object) -> Random:
    return Random(":".join(map(str, seed)))  # noqa: S311 - the same every time is what we want; nothing here is secret


def _day(period: Period, whole: CounterLine, offset: int, rng: Random) -> Iterator[Draft]:
    """The appointments of one counter on the local day so many days ahead, about as full as that day should be."""
    bits = period.days[offset]
    line = replace(whole, opening=Opening(_part(whole.opening.open, bits), _part(whole.opening.grid, bits)))
    services = [period.services[id] for id in sorted(line.services) if _leads(period.services[id], offset)]
    weights = [WANTED.get(service.key, 1) for service in services]
    share = FULL_TODAY + (FULL_AT_LAST - FULL_TODAY) * offset / (DAYS - 1) + rng.uniform(-0.06, 0.06)
    wanted = share * line.opening.open.bit_count()
    misses = 0
    while misses < MISSES:
        service = rng.choices(services, weights)[0]
        demand = Demand(service, min(rng.choices(PEOPLE, PEOPLE_WEIGHTS)[0], service.max_people))
        if line.taken.bit_count() + demand.ticks / 2 > wanted:
            return
        fitting = line.fits(demand.ticks)
        if not fitting:
            misses += 1
            continue
        first = _chosen(line, fitting, demand, rng)
        end = first + demand.ticks + line.buffer
        base = period.base + bits.start
        draft = _draft(period, line.counter_id, demand, range(base + first, base + end), rng)
        if draft.cancelled_at is None:
            line = replace(line, taken=line.taken | between(first, end))
        yield draft


def _part(mask: int, bits: range) -> int:
    return mask >> bits.start & ((1 << len(bits)) - 1)


def _chosen(line: CounterLine, fitting: int, demand: Demand, rng: Random) -> int:
    """The start (bit) that a citizen takes: of three that fit the one that breaks the day up least."""
    bits = list(ticks_in(fitting, 0))
    return min(rng.sample(bits, min(3, len(bits))), key=lambda bit: room_around(line.free, bit, demand.ticks))


def _leads(service: Service, offset: int) -> range:
    """How many days ahead it can have been booked for that day: before today, within its notice and horizon."""
    least = max(offset, -(-service.min_notice_hours // 24)) + 1
    return range(least, min(service.max_days_ahead, offset + LOOK_BACK - 1) + 1)


def _draft(period: Period, counter_id: int, demand: Demand, ticks: range, rng: Random) -> Draft:
    starts_at = moment_of(ticks.start)
    made_at, channel = _made(period, demand.service, starts_at, rng)
    notice = timedelta(hours=demand.service.min_notice_hours)
    wait = max(notice, (starts_at - made_at) * rng.random() ** 2)
    cancelled_at = None
    if rng.random() < CANCELLED:
        cancelled_at = (made_at + (period.midnight - made_at) * rng.random()).replace(microsecond=0)
    return Draft(
        counter_id=counter_id,
        demand=demand,
        starts_at=starts_at,
        ticks=ticks if cancelled_at is None else range(0),
        citizen=_citizen(channel, rng),
        channel=channel,
        made_at=made_at,
        first_free_at=period.first_free(demand, made_at + wait),
        cancelled_at=cancelled_at,
        reference="".join(rng.choices(ALPHABET, k=LENGTH)),
        uid=f"{UUID(int=rng.getrandbits(128), version=4)}@balie",
    )


def _made(period: Period, service: Service, starts_at: datetime, rng: Random) -> tuple[datetime, Channel]:
    """When and how it was booked: mostly a few days ahead; by phone and at the counter in opening hours only."""
    zone = period.zone
    day = starts_at.astimezone(zone).date()
    leads = _leads(service, (day - period.today).days)
    lead = leads[min(int(rng.expovariate(1 / 6)), len(leads) - 1)]
    channel = rng.choices(tuple(CHANNELS), tuple(CHANNELS.values()))[0]
    hour = rng.randrange(7, 23) if channel == Channel.WEB else rng.randrange(9, 12)
    clock = time(hour, rng.randrange(60), rng.randrange(60))
    made_at = datetime.combine(day - timedelta(days=lead), clock, zone).astimezone(UTC)
    return made_at, channel if period.is_open(made_at) else Channel.WEB


def _citizen(channel: Channel, rng: Random) -> Citizen:
    _, language, given_names, family_names = rng.choices(PEOPLE_FROM, [one[0] for one in PEOPLE_FROM])[0]
    given, family = rng.choice(given_names.split()), rng.choice(family_names.split(","))
    reached_by = rng.choices(REACHED_BY, REACHED_WEIGHTS[channel])[0]
    address = f"{words_in(given)[0]}.{''.join(words_in(family))}@example.org"
    number = f"+32400{rng.randrange(10**6):06d}"  # no such numbers are given out in Belgium
    return Citizen(
        f"{given} {family}",
        language,
        address if "email" in reached_by else None,
        number if "phone" in reached_by else None,
    )


def _insert_bookings(town: Municipality, drafts: Sequence[Draft]) -> list[int]:
    """Inserts bookings, appointments and their services; returns the ids of the appointments, in the same order."""
    bookings = [
        {
            "municipality_id": town.id,
            "reference": draft.reference,
            "name": draft.citizen.name,
            "email": draft.citizen.email,
            "phone": draft.citizen.phone,
            "language": draft.citizen.language,
            "channel": draft.channel,
            "made_at": draft.made_at,
            "first_free_at": draft.first_free_at,
        }
        for draft in drafts
    ]
    core = db.session.connection()  # the session's bulk insert takes a statement for each set of empty columns
    booking_ids = core.scalars(insert(Booking).returning(Booking.id, sort_by_parameter_order=True), bookings)
    appointments = [
        {
            "booking_id": booking_id,
            "counter_id": draft.counter_id,
            "uid": draft.uid,
            "sequence": 1 if draft.cancelled_at else 0,
            "state": AppointmentState.CANCELLED if draft.cancelled_at else AppointmentState.BOOKED,
            "starts_at": draft.starts_at,
            "ends_at": draft.starts_at + draft.demand.length,
            "changed_at": draft.cancelled_at or draft.made_at,
        }
        for booking_id, draft in zip(booking_ids, drafts, strict=True)
    ]
    returning = insert(Appointment).returning(Appointment.id, sort_by_parameter_order=True)
    ids = list(core.scalars(returning, appointments))
    services = [
        {"appointment_id": id, "service_id": draft.demand.service.id, "position": 0, "people": draft.demand.people}
        for id, draft in zip(ids, drafts, strict=True)
    ]
    core.execute(insert(AppointmentService), services)
    return ids


def _insert_ticks(booked: Sequence[Booked]) -> None:
    rows = [
        {"counter_id": draft.counter_id, "tick": tick, "appointment_id": id}
        for id, draft in booked
        for tick in draft.ticks
    ]
    rows.sort(key=lambda row: (row["counter_id"], row["tick"]))
    db.session.connection().execute(insert(Occupancy), rows)


def _messages(town: Municipality, booked: Booked, now: datetime) -> Iterator[dict[str, Any]]:
    """The messages that the booking caused: news at once, and the reminders as its municipality sends them."""
    _, draft = booked
    reached = {MessageChannel.EMAIL: draft.citizen.email, MessageChannel.SMS: draft.citizen.phone}
    news_ends, zone = draft.starts_at + LATE_NEWS, ZoneInfo(town.zone)
    for channel in (channel for channel, address in reached.items() if address):
        notices = [Notice(Kind.CONFIRMATION, Kind.CONFIRMATION.value, channel, draft.made_at, news_ends)]
        for rule in town.reminders:
            due = reminder_due(rule, draft.starts_at, zone)
            if channel in rule["channels"] and draft.made_at < due < draft.starts_at:
                notices.append(Notice(Kind.REMINDER, rule["occasion"], channel, due, draft.starts_at))
        if draft.cancelled_at is not None:
            notices.append(Notice(Kind.CANCELLATION, Kind.CANCELLATION.value, channel, draft.cancelled_at, news_ends))
        yield from (_message(town, booked, notice, now) for notice in notices)


def _message(town: Municipality, booked: Booked, notice: Notice, now: datetime) -> dict[str, Any]:
    """The row as the worker would have left it by now: sent, dropped because of the cancellation, or waiting."""
    id, draft = booked
    is_news_of_end = notice.kind == Kind.CANCELLATION
    row = {
        "municipality_id": town.id,
        "subject_kind": "appointment",
        "subject_id": id,
        "sequence": 1 if is_news_of_end else 0,
        "kind": notice.kind,
        "occasion": notice.occasion,
        "channel": notice.channel,
        "made_at": draft.cancelled_at if is_news_of_end else draft.made_at,
        "due_at": notice.due_at,
        "expires_at": notice.expires_at,
        "state": MessageState.QUEUED,
        "attempts": 0,
        "ended_at": None,
        "reason": None,
    }
    if draft.cancelled_at is not None and notice.due_at > draft.cancelled_at:
        overtaken = f"overtaken by: {Kind.CANCELLATION}"
        return {**row, "state": MessageState.DROPPED, "ended_at": draft.cancelled_at, "reason": overtaken}
    if notice.due_at <= now:
        return {**row, "state": MessageState.SENT, "ended_at": notice.due_at, "attempts": 1}
    return row


def _expected_today(period: Period, booked: Sequence[Booked]) -> list[Expected]:
    """Who is expected today, earliest first."""
    tomorrow = moment_of(period.base + period.days[0].stop)
    today = [one for one in booked if one[1].cancelled_at is None and one[1].starts_at < tomorrow]
    return [
        Expected(id, draft.counter_id, draft.starts_at, draft.starts_at + draft.demand.length, draft.uid)
        for id, draft in sorted(today, key=lambda one: (one[1].starts_at, one[1].uid))
    ]
