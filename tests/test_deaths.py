"""A worker killed at every step of a message, alone or beside another one, on both databases: what the mail server and
Twilio took says whether anything was lost or came twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copy

import pytest
from flask import Flask
from sqlalchemy import select, update

from booking.appointments.booking import Citizen, book
from booking.appointments.holds import hold
from booking.appointments.models import Channel
from booking.appointments.offers import Demand
from booking.db import begin_write, db
from booking.delivery.calls import calls
from booking.launch import Program
from booking.outbox.models import Message, MessageChannel, MessageState
from booking.outbox.queue import STUCK_AFTER
from booking.staff.audit import citizen_of
from booking.townhall.models import Municipality, Office, Service
from tests.dying import PLACES
from tests.factories import Town, make_town
from tests.processes import PATIENCE, Machine, clone, looking, machine, wait_until
from tests.providers import MailStub, TextStub

pytestmark = [pytest.mark.messages, pytest.mark.slow]

EACH = 3  # messages by each channel in one round
ROUNDS = 5  # at most: a worker that lives may take all that fell due before the doomed one looks
STEPS = {MessageChannel.EMAIL: "e-mail", MessageChannel.SMS: "text messages"}
SENT_BEFORE = ("after the call", "before recording")  # places where the provider has the message already


@dataclass(frozen=True)
class House:
    """A machine on which workers can be started, the providers they talk to, and a town."""

    here: Machine
    app: Flask
    town: Town
    mail: MailStub
    twilio: TextStub

    @property
    def settings(self) -> dict[str, str]:
        account = self.twilio.account
        return {
            "BALIE_SMTP": f"smtp://127.0.0.1:{self.mail.port}",
            "BALIE_SENDER": "balie@example.org",
            "BALIE_TWILIO_SID": account.sid,
            "BALIE_TWILIO_TOKEN": account.token,
            "BALIE_TWILIO_SENDER": account.sender,
            "BALIE_TWILIO_ADDRESS": str(account.address),
        }

    def doomed(self, channel: MessageChannel, where: str) -> Program:
        """A worker for one channel, ready to die at its first message."""
        ready = self.here.folder / f"{channel.value}.ready"
        started = self.here._start("A doomed worker", ["tests.dying", STEPS[channel], where, str(ready)], self.settings)
        wait_until(ready.exists, lambda: self.here.said)
        return started


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    with (
        database(request, tmp_path) as address,
        machine(address, tmp_path) as here,
        looking(address, tmp_path) as app,
        MailStub().open() as mail,
        TextStub().open() as twilio,
    ):
        with app.app_context():
            town = make_town(counters=2 * EACH * ROUNDS)
            db.session.get_one(Municipality, town.municipality_id).reminders = []
            db.session.commit()
        yield House(here, app, town, mail, twilio)


@contextmanager
def database(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    if request.param == "sqlite":
        copy(request.getfixturevalue("sqlite_template"), folder / "balie.sqlite")
        yield f"sqlite:///{folder / 'balie.sqlite'}"
        return
    with clone(request.getfixturevalue("cluster")) as address:
        yield address


def book_all(house: House, first: int = 0) -> None:
    """As many citizens with an e-mail address as with a phone, numbered from FIRST; each booking is committed."""
    now = datetime.now(UTC)
    day = (now + timedelta(days=7 - now.weekday())).date()
    start = datetime(day.year, day.month, day.day, 10, 0, tzinfo=UTC)
    for number in range(first, first + 2 * EACH):
        reach = {"phone": f"+3247000{number:04}"} if number % 2 else {"email": f"citizen{number}@example.org"}
        begin_write()
        demand = Demand(db.session.get_one(Service, house.town.passport_id))
        kept = hold(db.session.get_one(Office, house.town.office_id), demand, start, now)
        who = citizen_of(house.town.municipality_id)
        book(kept, Citizen(f"Citizen {number}", "nl", **reach), Channel.WEB, who, now)
        db.session.commit()


def book_until_dead(house: House, doomed: Sequence[Program]) -> int:
    """Books until each doomed worker had a message to die at; gives the number of messages by each channel."""
    for booked in range(0, ROUNDS * EACH, EACH):
        book_all(house, 2 * booked)
        wait_until(lambda: all_died(doomed) or not messages(MessageState.QUEUED), lambda: house.here.said)
        if all_died(doomed):
            return booked + EACH
    raise AssertionError("The doomed workers never had a message of their own.")


def all_died(doomed: Sequence[Program]) -> bool:
    return all(program.process.poll() is not None for program in doomed)


def messages(*states: MessageState) -> Sequence[Message]:
    db.session.rollback()
    query = select(Message).where(Message.state.in_(states or tuple(MessageState)))
    return db.session.scalars(query.order_by(Message.id)).all()


def ten_minutes_later() -> None:
    """What was claimed has been claimed for as long as a claim lasts."""
    db.session.rollback()
    begin_write()
    late = datetime.now(UTC) - STUCK_AFTER - timedelta(seconds=1)
    db.session.execute(update(Message).where(Message.state == MessageState.SENDING).values(claimed_at=late))
    db.session.commit()


def finish(house: House) -> None:
    """Waits until workers have ended every message, after the claims of the dead have run out."""
    waits = (MessageState.QUEUED, MessageState.SENDING)
    wait_until(lambda: not messages(MessageState.QUEUED), lambda: (house.here.said, messages(*waits)))
    ten_minutes_later()
    wait_until(lambda: not messages(*waits), lambda: (house.here.said, messages(*waits)))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("where", PLACES)
def test_a_worker_killed_at_any_step_loses_nothing_and_sends_no_text_message_twice(
    house: House, where: str, workers: int
) -> None:
    with house.app.app_context():
        doomed = [house.doomed(channel, where) for channel in MessageChannel]
        if workers == 2:
            house.here.worker(**house.settings)
        each = book_until_dead(house, doomed)
        if workers == 1:
            house.here.worker(**house.settings)
        finish(house)

        assert {one.state for one in messages()} == {MessageState.SENT}
        assert_each_letter_came_once_or_again_as_it_was(house, each, where)
        assert sorted(one["to"] for one in house.twilio.messages) == [f"+3247000{n:04}" for n in range(1, 2 * each, 2)]
        recorded = {one.provider_id for one in messages() if one.channel == MessageChannel.SMS}
        assert recorded == {one["sid"] for one in house.twilio.messages}


def assert_each_letter_came_once_or_again_as_it_was(house: House, each: int, where: str) -> None:
    came = Counter(letter["Message-ID"] for letter in house.mail.letters)
    written = {f"<balie-{one.id}@example.org>" for one in messages() if one.channel == MessageChannel.EMAIL}
    assert set(came) == written
    assert came.total() == each + (where in SENT_BEFORE)
    assert len({letter.as_bytes() for letter in house.mail.letters}) == each


def test_a_text_message_that_nobody_can_decide_stands_on_the_call_list(house: House) -> None:
    house.twilio.shows_texts = False
    with house.app.app_context():
        doomed = house.doomed(MessageChannel.SMS, "after the call")
        book_all(house)
        doomed.process.wait(PATIENCE)
        house.here.worker(**house.settings)
        finish(house)

        (undecided,) = messages(MessageState.FAILED)
        assert str(undecided.reason).startswith("undecided")
        listed = calls([house.town.desk_id], datetime.now(UTC))
        assert [call.message.id for call in listed] == [undecided.id]
        assert len(house.twilio.messages) == len({one["to"] for one in house.twilio.messages}) == EACH
