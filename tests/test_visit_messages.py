"""A visit of several desks is told of once: one message with all desks, and an invitation for each of them."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from booking.appointments.booking import cancel, move
from booking.appointments.models import Booking
from booking.appointments.together import cancel_visit
from booking.config import Settings
from booking.db import begin_write, db
from booking.delivery.send import send_due
from booking.outbox.models import Kind, Message, MessageChannel, MessageState
from booking.outbox.queue import claim, defer
from booking.staff.audit import citizen_of, member
from booking.townhall.standing import Standing
from tests import test_together
from tests.conftest import Clock
from tests.factories import make_staff
from tests.test_together import ALICE, TEN, booked, make_visit_town, move_to

pytestmark = pytest.mark.messages


@pytest.fixture
def here(context: Flask) -> Standing:
    make_visit_town()
    return test_together.read_again()


def letters(context: Flask, clock: Clock) -> list[EmailMessage]:
    """What has been sent since the last look."""
    settings: Settings = context.extensions["balie"]["settings"]
    db.session.rollback()
    while send_due(settings, clock, MessageChannel.EMAIL):
        pass
    found = []
    for file in sorted(Path(settings.instance).rglob("*.eml"), key=lambda one: int(one.stem)):
        letter = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        assert isinstance(letter, EmailMessage)
        found.append(letter)
        file.unlink()
    return found


def texts(context: Flask, clock: Clock) -> list[str]:
    """The text messages that have been sent since the last look."""
    settings: Settings = context.extensions["balie"]["settings"]
    db.session.rollback()
    send_due(settings, clock, MessageChannel.SMS)
    files = sorted(Path(settings.instance).rglob("*.txt"))
    found = [file.read_text() for file in files]
    for file in files:
        file.unlink()
    return found


def plain(letter: EmailMessage) -> str:
    body = letter.get_body(("plain",))
    assert body
    return str(body.get_content())


def uids(letter: EmailMessage) -> list[str]:
    files = [part.get_content() for part in letter.iter_attachments() if part.get_content_type() == "application/ics"]
    return [line.removeprefix("UID:") for file in files for line in file.decode().splitlines() if line[:4] == "UID:"]


def states(kind: Kind) -> list[str]:
    rows = select(Message.state).where(Message.kind == kind, Message.state != MessageState.QUEUED)
    return sorted(state.value for state in db.session.scalars(rows))


def test_one_confirmation_lists_all_desks_and_brings_an_invitation_for_each(
    context: Flask, here: Standing, clock: Clock
) -> None:
    made = booked(clock)

    [letter] = letters(context, clock)

    text = plain(letter)
    order = [text.index(f"{name}-Service (nl)") for name in ("Civil", "Building", "Economy")]
    assert order == sorted(order)
    assert text.count("identity card") == 1
    assert uids(letter) == [one.uid for one in made.appointments]
    assert states(Kind.CONFIRMATION) == ["dropped", "dropped", "sent"]


def test_a_move_together_is_told_once_and_a_move_of_one_by_itself(context: Flask, here: Standing, clock: Clock) -> None:
    made = booked(clock)
    letters(context, clock)
    clock.advance(minutes=1)
    move_to(made, TEN + timedelta(days=1), clock)

    [letter] = letters(context, clock)
    assert len(uids(letter)) == 3

    clock.advance(minutes=1)
    db.session.rollback()
    begin_write()
    cancel(made.appointments[1], citizen_of(here.municipality.id), clock())
    db.session.commit()
    [letter] = letters(context, clock)
    assert uids(letter) == [made.appointments[1].uid]
    assert "Economy" not in plain(letter)


def test_one_reminder_a_day_tells_of_what_is_left_of_the_visit(context: Flask, here: Standing, clock: Clock) -> None:
    made = booked(clock)
    letters(context, clock)
    db.session.rollback()
    begin_write()
    cancel(made.appointments[0], citizen_of(here.municipality.id), clock())
    db.session.commit()
    letters(context, clock)
    clock.now = TEN - timedelta(hours=15, minutes=59)  # a minute past six in the evening before

    [letter] = letters(context, clock)

    assert "Building-Service (nl)" in plain(letter) and "Economy-Service (nl)" in plain(letter)
    assert "Civil-Service" not in plain(letter)


def test_a_visit_cancelled_together_is_told_once(context: Flask, here: Standing, clock: Clock) -> None:
    made = booked(clock)
    letters(context, clock)
    db.session.rollback()
    begin_write()
    cancel_visit(made.appointments, citizen_of(here.municipality.id), clock())
    db.session.commit()

    [letter] = letters(context, clock)

    assert set(uids(letter)) == {one.uid for one in made.appointments}
    assert db.session.scalars(select(Booking)).one()


def test_what_was_moved_before_the_confirmation_went_is_told_by_itself(
    context: Flask, here: Standing, clock: Clock
) -> None:
    made = booked(clock)
    clock.advance(seconds=1)
    db.session.rollback()
    begin_write()
    cancel(made.appointments[0], citizen_of(here.municipality.id), clock())
    db.session.commit()

    told = letters(context, clock)

    assert sorted(len(uids(letter)) for letter in told) == [1, 2]


def test_a_desk_is_not_forgotten_when_the_message_for_all_is_overtaken(
    context: Flask, here: Standing, clock: Clock
) -> None:
    made = booked(clock)
    first = db.session.scalars(select(Message).where(Message.kind == Kind.CONFIRMATION).order_by(Message.id)).first()
    db.session.rollback()
    begin_write()
    assert first and claim(first.id, clock())
    defer(db.session.get_one(Message, first.id), "450 later", clock())
    db.session.commit()
    assert letters(context, clock) == []  # the others wait for the one that carries them

    db.session.rollback()
    begin_write()
    cancel(made.appointments[0], citizen_of(here.municipality.id), clock())
    db.session.commit()
    clock.advance(minutes=2)

    assert sorted(len(uids(letter)) for letter in letters(context, clock)) == [1, 2]


def test_a_text_message_tells_of_one_time_and_what_follows_it(context: Flask, here: Standing, clock: Clock) -> None:
    made = booked(clock, citizen=replace(ALICE, email=None, phone="+32470123456"))
    assert len(texts(context, clock)) == 1  # three desks, one after the other
    clock.advance(minutes=1)
    db.session.rollback()
    begin_write()
    for day, one in enumerate(made.appointments):  # as a closure may move them: apart
        office, start = one.counter.desk.office, TEN + timedelta(days=day % 2 + 1)
        move(one, office, start, member(make_staff(here.municipality.id, f"{day}@example.org")), clock())
    db.session.commit()

    told = texts(context, clock)

    assert len(told) == 2
    assert sorted("do 26" in text for text in told) == [False, True], told
