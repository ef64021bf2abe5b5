"""When a reminder goes out: by the rules of town and service, by the wall clock, outside quiet hours, never late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select

from booking.appointments.booking import Citizen, move
from booking.appointments.models import Appointment
from booking.appointments.notices import considerate, quiet_hours, reminder_due, reminder_rules
from booking.db import begin_write, db
from booking.delivery.send import send_due
from booking.outbox.models import Kind, Message, MessageChannel, MessageState
from booking.outbox.queue import due_ids
from booking.staff.audit import citizen_of
from booking.townhall.models import Municipality, Office, Service
from tests.conftest import Clock
from tests.factories import Town
from tests.test_messages import ALICE, THURSDAY, booked

pytestmark = pytest.mark.messages

ZONE = ZoneInfo("Europe/Brussels")
EMAIL, SMS = MessageChannel.EMAIL, MessageChannel.SMS
EVENING_BEFORE = {"occasion": "day-before", "days": 1, "at": "18:00", "channels": ["email"]}
BY_MAIL = Citizen("Ann", "nl", email="ann@example.org")


def local(text: str) -> datetime:
    """A moment on the wall clock of Brussels: "2026-11-26 10:00"."""
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


def town_with(reminders: list[dict[str, Any]], **rules: Any) -> Municipality:
    """A municipality that stands in no database."""
    rules = {"quiet_from": 20 * 60 + 30, "quiet_until": 8 * 60, **rules}
    return Municipality(zone=ZONE.key, reminders=reminders, **rules)


def set_rules(town: Town, reminders: list[dict[str, Any]], **rules: Any) -> None:
    municipality = db.session.get_one(Municipality, town.municipality_id)
    municipality.reminders = reminders
    for name, value in rules.items():
        setattr(municipality, name, value)
    db.session.commit()


def reminders() -> list[tuple[str, str, datetime, str]]:
    """Occasion, channel, local moment and state of each reminder."""
    db.session.rollback()
    query = select(Message).where(Message.kind == Kind.REMINDER).order_by(Message.sequence, Message.due_at)
    return [
        (one.occasion, one.channel.value, one.due_at.astimezone(ZONE).replace(tzinfo=None), one.state.value)
        for one in db.session.scalars(query)
    ]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


# ---- the wall clock


@pytest.mark.parametrize(
    ("start", "due"),
    [
        ("2026-03-29 10:00", "2026-03-28 18:00+01:00"),  # the day on which the clock goes forward
        ("2026-03-30 10:00", "2026-03-29 18:00+02:00"),
        ("2026-10-25 10:00", "2026-10-24 18:00+02:00"),  # and back
        ("2026-10-26 10:00", "2026-10-25 18:00+01:00"),
    ],
)
def test_the_evening_before_is_six_on_the_wall_whenever_the_clock_is_changed(start: str, due: str) -> None:
    assert reminder_due(EVENING_BEFORE, local(start), ZONE) == datetime.fromisoformat(due)


@pytest.mark.parametrize(
    ("start", "due"),
    [("2026-03-29 04:00", "2026-03-29 00:00Z"), ("2026-10-25 04:00", "2026-10-25 01:00Z")],
)
def test_two_hours_before_are_two_hours_that_pass(start: str, due: str) -> None:
    assert reminder_due({"hours": 2}, local(start).astimezone(UTC), ZONE) == datetime.fromisoformat(due)


# ---- quiet hours


@pytest.mark.parametrize(
    ("moment", "quiet"),
    [
        ("2026-11-25 20:29", None),
        ("2026-11-25 20:30", ("2026-11-25 20:30", "2026-11-26 08:00")),
        ("2026-11-26 00:00", ("2026-11-25 20:30", "2026-11-26 08:00")),
        ("2026-11-26 07:59", ("2026-11-25 20:30", "2026-11-26 08:00")),
        ("2026-11-26 08:00", None),
        ("2026-03-29 03:30", ("2026-03-28 20:30", "2026-03-29 08:00")),
        ("2026-10-25 02:30", ("2026-10-24 20:30", "2026-10-25 08:00")),
    ],
)
def test_quiet_hours_reach_over_midnight_and_over_clock_changes(moment: str, quiet: tuple[str, str] | None) -> None:
    found = quiet_hours(town_with([]), local(moment))

    assert found == (quiet and tuple(local(end) for end in quiet))


def test_quiet_hours_may_lie_within_a_day_or_not_be_at_all() -> None:
    noon = town_with([], quiet_from=12 * 60, quiet_until=14 * 60)
    assert quiet_hours(noon, local("2026-11-26 13:00")) == (local("2026-11-26 12:00"), local("2026-11-26 14:00"))
    assert quiet_hours(noon, local("2026-11-26 11:59")) is None

    for minutes in (0, 8 * 60, 24 * 60):
        never = town_with([], quiet_from=minutes, quiet_until=minutes)
        assert all(quiet_hours(never, local(f"2026-11-26 {hour:02}:00")) is None for hour in range(24))


def test_a_reminder_in_the_quiet_hours_goes_after_them_or_before_where_that_would_be_too_late() -> None:
    town, start = town_with([]), local("2026-11-26 10:00")

    assert considerate(local("2026-11-26 06:00"), start, town) == local("2026-11-26 08:00")
    assert considerate(local("2026-11-25 22:00"), start, town) == local("2026-11-26 08:00")
    assert considerate(local("2026-11-26 06:30"), local("2026-11-26 08:30"), town) == local("2026-11-25 20:15")
    assert considerate(local("2026-11-25 18:00"), start, town) == local("2026-11-25 18:00")


def test_a_text_message_hours_before_that_somebody_chose_is_not_held_back(
    context: Flask, town: Town, clock: Clock
) -> None:
    """At nine, two hours before are at seven, when it is still quiet: the mail comes after, the text message then."""
    set_rules(town, [{"occasion": "soon", "hours": 2, "channels": ["email", "sms"]}])
    booked(town, clock, ALICE, at=timedelta(hours=-1))

    assert reminders() == [
        ("soon", "sms", at("2026-11-26 07:00"), "queued"),
        ("soon", "email", at("2026-11-26 08:00"), "queued"),
    ]


def test_a_reminder_that_comes_late_waits_for_the_end_of_the_quiet_hours(
    context: Flask, town: Town, clock: Clock
) -> None:
    """The worker was away when it fell due at six in the evening, and comes back at nine."""
    set_rules(town, [EVENING_BEFORE])
    booked(town, clock, BY_MAIL)
    clock.now = local("2026-11-25 21:00").astimezone(UTC)
    db.session.rollback()
    send_due(context.extensions["balie"]["settings"], clock, EMAIL)
    assert reminders() == [("day-before", "email", at("2026-11-26 08:00"), "queued")]

    clock.now = local("2026-11-26 08:00").astimezone(UTC)
    db.session.rollback()
    send_due(context.extensions["balie"]["settings"], clock, EMAIL)

    assert [one[3] for one in reminders()] == ["sent"]


# ---- the rules of town and service


def test_several_rules_each_give_a_reminder(context: Flask, town: Town, clock: Clock) -> None:
    set_rules(
        town,
        [
            {"occasion": "two-days-before", "days": 2, "at": "09:30", "channels": ["email"]},
            EVENING_BEFORE,
            {"occasion": "two-hours-before", "hours": 2, "channels": ["sms"]},
        ],
    )
    booked(town, clock, ALICE)

    assert [one[:3] for one in reminders()] == [
        ("two-days-before", "email", at("2026-11-24 09:30")),
        ("day-before", "email", at("2026-11-25 18:00")),
        ("two-hours-before", "sms", at("2026-11-26 08:00")),
    ]


def test_a_service_may_have_rules_of_its_own_or_none_at_all(context: Flask, town: Town, clock: Clock) -> None:
    set_rules(town, [EVENING_BEFORE])
    weekly = [{"occasion": "three-days", "hours": 72, "channels": ["email"]}]
    db.session.get_one(Service, town.wedding_id).reminders = weekly
    db.session.get_one(Service, town.passport_id).reminders = []
    db.session.commit()

    booked(town, clock, BY_MAIL, town.wedding_id)
    assert [one[:2] for one in reminders()] == [("three-days", "email")]
    booked(town, clock, BY_MAIL, town.wedding_id, at=timedelta(days=1))
    booked(town, clock, BY_MAIL)

    assert [one[:2] for one in reminders()] == [("three-days", "email")] * 2


def test_two_services_of_one_appointment_share_their_rules() -> None:
    town = town_with([EVENING_BEFORE])
    own = Service(reminders=[{"occasion": "hour", "hours": 1, "channels": ["sms"]}])

    assert [rule["occasion"] for rule in reminder_rules(town, [own, Service(reminders=None)])] == ["hour", "day-before"]


@pytest.mark.parametrize(("booked_at", "is_reminded"), [("17:59", True), ("18:00", False), ("19:00", False)])
def test_who_books_inside_the_window_gets_no_reminder(
    context: Flask, town: Town, clock: Clock, booked_at: str, is_reminded: bool
) -> None:
    set_rules(town, [EVENING_BEFORE])
    clock.now = local(f"2026-11-25 {booked_at}").astimezone(UTC)

    booked(town, clock, BY_MAIL)

    assert bool(reminders()) == is_reminded


def test_a_moved_appointment_drops_the_old_reminder_and_is_due_a_new_one(
    context: Flask, town: Town, clock: Clock
) -> None:
    set_rules(town, [EVENING_BEFORE])
    first = booked(town, clock, BY_MAIL)
    db.session.rollback()
    begin_write()
    office, actor = db.session.get_one(Office, town.office_id), citizen_of(town.municipality_id)
    move(db.session.get_one(Appointment, first.id), office, THURSDAY + timedelta(days=1), actor, clock())
    db.session.commit()

    assert reminders() == [
        ("day-before", "email", at("2026-11-25 18:00"), "dropped"),
        ("day-before", "email", at("2026-11-26 18:00"), "queued"),
    ]


def test_due_is_everything_that_was_due_earlier_too(context: Flask, town: Town, clock: Clock) -> None:
    set_rules(town, [EVENING_BEFORE])
    booked(town, clock, BY_MAIL)
    for later in (timedelta(), timedelta(seconds=1), timedelta(hours=12)):
        moment = local("2026-11-25 18:00") + later
        assert len(due_ids(EMAIL, moment, 10)) == 2  # and the confirmation


def test_no_message_goes_out_when_it_is_of_no_use_any_more(context: Flask, town: Town, clock: Clock) -> None:
    set_rules(town, [EVENING_BEFORE])
    booked(town, clock, BY_MAIL)
    clock.now = THURSDAY + timedelta(minutes=15)  # it is over
    db.session.rollback()
    send_due(context.extensions["balie"]["settings"], clock, EMAIL)

    assert set(db.session.scalars(select(Message.state))) == {MessageState.EXPIRED}
