"""Erasure: on its day the person of a booking is gone from every table, and every count is as before."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from booking.appointments.booking import Citizen, book, cancel
from booking.appointments.holds import hold
from booking.appointments.models import Appointment, AppointmentService, AppointmentState, Booking, Channel
from booking.appointments.offers import Demand
from booking.db import Base, begin_write, db
from booking.links import claim, token
from booking.outbox.models import Message
from booking.privacy import forget as forgetting
from booking.privacy.forget import forget_due, forgotten_on
from booking.staff.audit import citizen_of
from booking.staff.models import AuditLine
from booking.townhall.models import Municipality, Office, Service
from tests.conftest import KEYS, Clock
from tests.factories import Town, make_counter, make_desk, make_municipality, make_office, make_service

pytestmark = pytest.mark.townhall

TEN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)  # Tuesday, ten o'clock in Brussels
DUE = datetime(2026, 12, 1, 23, 0, tzinfo=UTC)  # seven whole days later: midnight of 2 December in Brussels
SECOND = timedelta(seconds=1)
ALICE = Citizen("Alice Peeters", "nl", email="alice@example.org", phone="+32470112233")
BOB = Citizen("Bob Maes", "fr", email="bob@example.org")
A_FEW = hypothesis_settings(
    max_examples=max(5, hypothesis_settings().max_examples // 4),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def booked(
    town: Town, clock: Clock, start: datetime = TEN, citizen: Citizen = ALICE, channel: Channel = Channel.WEB
) -> Booking:
    db.session.rollback()
    begin_write()
    office, service = db.session.get_one(Office, town.office_id), db.session.get_one(Service, town.passport_id)
    held = hold(office, Demand(service), start, clock())
    made = book(held, citizen, channel, citizen_of(town.municipality_id), clock())
    db.session.commit()
    return made


def forgotten(now: datetime) -> int:
    db.session.rollback()
    begin_write()
    count = forget_due(now)
    db.session.commit()
    return count


def everything() -> str:
    """All that stands in the database."""
    return "\n".join(repr(row) for table in Base.metadata.sorted_tables for row in db.session.execute(select(table)))


def test_a_person_is_forgotten_when_their_day_begins_at_the_town_hall(context: Flask, town: Town, clock: Clock) -> None:
    made = booked(town, clock)
    assert forgotten_on(made, db.session.get_one(Municipality, town.municipality_id)) == date(2026, 12, 2)

    assert forgotten(DUE - SECOND) == 0
    assert made.name == "Alice Peeters"
    assert forgotten(DUE) == 1

    assert (made.name, made.email, made.phone, made.reference, made.forgotten_at) == (None, None, None, None, DUE)
    assert forgotten(DUE + timedelta(days=1)) == 0


def test_nothing_of_the_person_stands_anywhere_any_more(context: Flask, town: Town, clock: Clock) -> None:
    reference = booked(town, clock).reference or ""
    message = db.session.scalars(select(Message)).first()
    assert message is not None
    message.content = b"Dear Alice"
    db.session.commit()
    person = ("Alice", "Peeters", "alice@example.org", "+32470112233", reference)
    assert all(word in everything() for word in person)

    forgotten(DUE)

    assert [word for word in person if word in everything()] == []
    assert db.session.scalar(select(func.count()).select_from(Message)) == 0


def test_forgetting_one_leaves_the_other(context: Flask, town: Town, clock: Clock) -> None:
    booked(town, clock)
    later = booked(town, clock, TEN + timedelta(days=1), BOB)
    waiting = select(func.count()).select_from(Message).where(Message.subject_id == later.appointments[0].id)
    before = db.session.scalar(waiting)

    assert forgotten(DUE) == 1

    assert (later.name, later.email) == ("Bob Maes", "bob@example.org")
    assert db.session.scalar(waiting) == before == 2


def test_the_links_of_the_person_open_nothing_any_more(context: Flask, town: Town, clock: Clock) -> None:
    made = booked(town, clock)
    given_out = token(KEYS, "booking", made.id, made.generation)

    forgotten(DUE)

    found = claim(KEYS, "booking", given_out)
    assert found is not None
    assert (found.id, found.generation) == (made.id, made.generation - 1)


def test_the_log_says_when_without_saying_who(context: Flask, town: Town, clock: Clock) -> None:
    made = booked(town, clock)

    forgotten(DUE)

    line = db.session.scalars(select(AuditLine).where(AuditLine.action == "forget")).one()
    assert (line.actor, line.object_kind, line.object_id, line.at) == ("worker", "booking", made.id, DUE)
    assert line.details == {}


def figures() -> Counter[tuple[object, ...]]:
    """How many came by which channel, for which service, on which day, booked or cancelled, made when, offered when."""
    query = (
        select(
            Booking.channel,
            Booking.language,
            AppointmentService.service_id,
            Appointment.starts_at,
            Appointment.state,
            Booking.made_at,
            Booking.first_free_at,
        )
        .join(Appointment, Appointment.booking_id == Booking.id)
        .join(AppointmentService, AppointmentService.appointment_id == Appointment.id)
    )
    return Counter(tuple(row) for row in db.session.execute(query))


def test_the_figures_are_the_same_before_and_after(context: Flask, town: Town, clock: Clock) -> None:
    for n, channel in enumerate([Channel.WEB, Channel.WEB, Channel.PHONE, Channel.COUNTER]):
        booked(town, clock, TEN + timedelta(minutes=15 * n), ALICE if n % 2 else BOB, channel)
    begin_write()
    appointment = db.session.scalars(select(Appointment)).first()
    assert appointment is not None
    cancel(appointment, citizen_of(town.municipality_id), clock())
    db.session.commit()
    before = figures()

    assert forgotten(DUE) == 4

    assert figures() == before
    assert before.total() == 4


@pytest.mark.parametrize(
    ("left", "constraint"),
    [
        ({"name": "Alice Peeters"}, "ck_booking_named_until_forgotten"),
        ({"reference": "ABCDEFG"}, "ck_booking_reference_until_forgotten"),
        ({"email": "alice@example.org"}, "ck_booking_no_contact_when_forgotten"),
        ({"phone": "+32470112233"}, "ck_booking_no_contact_when_forgotten"),
        ({"forgotten_at": None}, "ck_booking_named_until_forgotten"),
    ],
)
def test_the_database_refuses_to_remember_a_person_that_was_forgotten(
    context: Flask, town: Town, clock: Clock, left: dict[str, object], constraint: str
) -> None:
    made = booked(town, clock)
    forgotten(DUE)
    for column, value in left.items():
        setattr(made, column, value)

    with pytest.raises(IntegrityError, match=constraint.removeprefix("ck_booking_")):
        db.session.flush()


def test_the_last_appointment_of_a_booking_counts_also_a_cancelled_one(
    context: Flask, town: Town, clock: Clock
) -> None:
    made, other = booked(town, clock), booked(town, clock, TEN + timedelta(days=3))
    other.appointments[0].state = AppointmentState.CANCELLED
    other.appointments[0].booking_id = made.id
    db.session.commit()

    assert forgotten(DUE) == 0
    assert made.forgotten_at is None
    assert forgotten(DUE + timedelta(days=3)) == 1
    assert made.forgotten_at is not None


def test_each_town_keeps_for_its_own_days(context: Flask, town: Town, clock: Clock) -> None:
    made = booked(town, clock)
    db.session.get_one(Municipality, town.municipality_id).retention_days = 0
    patient = ended_in("Europe/Brussels", made.appointments[0].ends_at, retention_days=30)

    assert forgotten(datetime(2026, 11, 24, 23, 0, tzinfo=UTC)) == 1
    assert (made.name, patient.name) == (None, "Alice Peeters")


def test_a_long_list_is_forgotten_in_batches(
    context: Flask, town: Town, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "BATCH", 2)
    for n in range(5):
        booked(town, clock, TEN + timedelta(minutes=15 * n))

    assert [forgotten(DUE) for _ in range(4)] == [2, 2, 1, 0]
    assert db.session.scalars(select(Booking.name).distinct()).all() == [None]


def ended_in(zone: str, ends_at: datetime, retention_days: int) -> Booking:
    """A booking in a town of its own whose only appointment ends at the moment, committed."""
    number = db.session.scalar(select(func.count()).select_from(Municipality))
    municipality = make_municipality(f"town-{number}", zone)
    municipality.retention_days = retention_days
    counter = make_counter(make_desk(make_office(municipality)))
    service = make_service(municipality, "passport", [counter])
    made = Booking(
        municipality_id=municipality.id,
        reference="ABCDEFG",
        name="Alice Peeters",
        language="nl",
        channel=Channel.WEB,
        made_at=ends_at - timedelta(days=10),
        appointments=[
            Appointment(
                counter_id=counter.id,
                uid=f"{number}@balie",
                state=AppointmentState.BOOKED,
                starts_at=ends_at - timedelta(minutes=15),
                ends_at=ends_at,
                changed_at=ends_at - timedelta(days=10),
                items=[AppointmentService(service_id=service.id, position=0, people=1)],
            )
        ],
    )
    db.session.add(made)
    db.session.commit()
    return made


ends = st.builds(
    lambda day, minute: day + timedelta(minutes=minute),
    st.sampled_from([datetime(2026, m, d, tzinfo=UTC) for m, d in ((3, 27), (4, 23), (10, 24), (10, 29), (12, 31))]),
    st.integers(0, 3 * 288).map(lambda ticks: ticks * 5) | st.sampled_from([1440 - 60, 1440 - 120, 2880 - 60]),
)


@A_FEW
@given(
    zone=st.sampled_from(["Europe/Brussels", "Africa/Cairo", "America/St_Johns", "UTC"]),
    ends_at=ends,
    retention_days=st.integers(0, 4),
)
def test_the_day_that_is_told_is_the_day_on_which_it_happens(
    context: Flask, zone: str, ends_at: datetime, retention_days: int
) -> None:
    made = ended_in(zone, ends_at, retention_days)
    told = forgotten_on(made, db.session.get_one(Municipality, made.municipality_id))
    midnight = datetime.combine(told, time(), ZoneInfo(zone)).astimezone(UTC)

    forgotten(midnight - SECOND)
    assert made.name == "Alice Peeters"
    forgotten(midnight)

    assert made.forgotten_at == midnight
    assert told >= ends_at.astimezone(ZoneInfo(zone)).date() + timedelta(days=retention_days + 1)
