"""A provider that is down for three hours, and a limit on how fast it is given messages."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Thread

import pytest
from flask import Flask
from sqlalchemy import select

from booking.appointments.booking import Citizen
from booking.config import Settings, SmtpServer
from booking.db import begin_write, db
from booking.delivery.send import send_due
from booking.outbox.models import Kind, Message, MessageChannel, MessageState
from booking.outbox.providers import PAUSES, away, provider, turn
from booking.outbox.queue import Notice, queue
from tests.conftest import MONDAY, Clock
from tests.factories import Town
from tests.providers import MailStub
from tests.test_messages import booked

pytestmark = pytest.mark.messages

EMAIL = MessageChannel.EMAIL
DOWN = timedelta(hours=3)
TICK = timedelta(seconds=5)  # of the worker


class Down:
    """Answers every call with 421, as a mail server does that is being repaired, and counts the calls."""

    def __init__(self) -> None:
        self.calls = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.calls += 1
            with connection:
                connection.sendall(b"421 back soon\r\n")

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def down() -> Iterator[Down]:
    made = Down()
    yield made
    made.close()


def tick(app: Flask, clock: Clock, port: int) -> None:
    settings: Settings = app.extensions["balie"]["settings"]
    smtp = SmtpServer("127.0.0.1", port, "none", None, None)
    db.session.rollback()
    while send_due(replace(settings, smtp=smtp), clock, EMAIL):
        pass


def test_three_hours_without_a_mail_server_lose_nothing_and_ask_it_now_and_then(
    context: Flask, town: Town, clock: Clock, down: Down
) -> None:
    """Twelve confirmations wait; a reminder that has become useless meanwhile is not sent."""
    citizens = [Citizen(f"Citizen {n}", "nl", email=f"citizen{n}@example.org") for n in range(12)]
    for n, citizen in enumerate(citizens):
        booked(town, clock, citizen, at=timedelta(minutes=15 * (n // 2)))
        clock.advance(seconds=1)
    useless = queued_reminder(town, clock, until=clock() + DOWN / 2)
    began: datetime = clock()

    while clock() < began + DOWN:
        tick(context, clock, down.port)
        clock.now += TICK

    waits = db.session.scalars(select(Message).where(Message.kind == Kind.CONFIRMATION)).all()
    assert {one.state for one in waits} == {MessageState.QUEUED}
    assert down.calls <= len(PAUSES) + DOWN / timedelta(seconds=PAUSES[-1])  # no tight loop
    (seen,) = away()  # staff see it
    assert (seen.reason, seen.away_since) == ("mail server: 421 back soon", began)

    with MailStub().open() as stub:
        clock.advance(seconds=PAUSES[-1])
        tick(context, clock, stub.port)

    assert [letter["To"] for letter in stub.letters] == [citizen.email for citizen in citizens]  # in their order
    assert db.session.get_one(Message, useless, populate_existing=True).state == MessageState.EXPIRED
    assert away() == []


def queued_reminder(town: Town, clock: Clock, until: datetime) -> int:
    """A reminder of an appointment that begins before the mail server is back."""
    first = db.session.scalars(select(Message).order_by(Message.id)).first()
    assert first is not None
    notice = Notice(Kind.REMINDER, "soon", EMAIL, clock(), until)
    queue(town.municipality_id, (first.subject_id, first.sequence), [notice], clock())
    db.session.commit()
    return db.session.scalars(select(Message.id).where(Message.occasion == "soon")).one()


def test_one_letter_that_a_server_chokes_on_does_not_keep_the_others(context: Flask, town: Town, clock: Clock) -> None:
    first, second = (Citizen(name, "nl", email=f"{name}@example.org") for name in ("ann", "bob"))
    booked(town, clock, first)
    clock.advance(seconds=1)
    booked(town, clock, second)

    with MailStub(refusals=["drop"]).open() as stub:
        for _ in range(30):
            tick(context, clock, stub.port)
            clock.now += TICK

    assert [letter["To"] for letter in stub.letters] == ["ann@example.org", "bob@example.org", "ann@example.org"]
    assert len({letter["Message-ID"] for letter in stub.letters}) == 2


# ---- a limit per second


def test_a_provider_is_given_no_more_than_it_takes(context: Flask, town: Town, clock: Clock) -> None:
    for n in range(6):
        booked(town, clock, Citizen("Ann", "nl", email=f"ann{n}@example.org"), at=timedelta(minutes=15 * (n // 2)))
    given: list[datetime] = []
    settings: Settings = context.extensions["balie"]["settings"]
    with MailStub().open() as stub:
        stub.on_letter = lambda: given.append(clock())
        slow = replace(settings, smtp=replace(stub.settings, per_second=0.5))
        db.session.rollback()
        count = send_due(slow, clock, EMAIL, lambda seconds: clock.advance(seconds=seconds))

    assert count == 6
    assert [(at - MONDAY).total_seconds() for at in given] == [0, 2, 4, 6, 8, 10]


def test_workers_share_the_limit(context: Flask, town: Town, clock: Clock) -> None:
    turns = []
    for _ in range(4):
        begin_write()
        turns.append((turn(EMAIL, 4, clock()) - MONDAY).total_seconds())
        db.session.commit()
    assert turns == [0, 0.25, 0.5, 0.75]

    clock.advance(minutes=1)  # nothing is saved up
    begin_write()
    assert [(turn(EMAIL, 4, clock()) - clock()).total_seconds() for _ in range(2)] == [0, 0.25]
    db.session.commit()


def test_a_provider_that_never_failed_is_not_written_down(context: Flask, town: Town, clock: Clock) -> None:
    booked(town, clock, Citizen("Ann", "nl", email="ann@example.org"))
    with MailStub().open() as stub:
        tick(context, clock, stub.port)

    assert provider(EMAIL) is None
