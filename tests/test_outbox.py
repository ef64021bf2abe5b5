"""The queue of messages: each is claimed once, put back with a growing pause, and dropped when no longer true."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from booking.db import begin_write, db
from booking.outbox.models import Kind, Message, MessageChannel, MessageState
from booking.outbox.queue import (
    KEEP_CONTENT,
    STUCK_AFTER,
    Notice,
    beat,
    claim,
    claim_undecided,
    defer,
    depth,
    drop_queued,
    due_ids,
    end,
    erase,
    queue,
    queue_once,
    release,
    tidy,
    undecided_ids,
)
from tests.conftest import MONDAY, Clock
from tests.factories import Town

pytestmark = pytest.mark.messages

EMAIL, SMS = MessageChannel.EMAIL, MessageChannel.SMS
LATER = MONDAY + timedelta(days=30)
MINUTE = timedelta(minutes=1)


def queued(town: Town, subject: int = 1, channel: MessageChannel = EMAIL, due: timedelta = 0 * MINUTE) -> int:
    """A message about an appointment, due so long after Monday morning, committed; its id."""
    notice = Notice(Kind.REMINDER, "day-before", channel, MONDAY + due, LATER)
    queue(town.municipality_id, (subject, 0), [notice], MONDAY)
    message = db.session.scalars(select(Message).order_by(Message.id.desc())).first()
    assert message is not None
    message.content = b"Dear Alice"
    db.session.commit()
    return message.id


def claimed(town: Town, clock: Clock, **message: object) -> Message:
    """A message that a worker has taken."""
    id = queued(town, **message)  # type: ignore[arg-type]
    assert claim(id, clock())
    db.session.commit()
    return db.session.get_one(Message, id)


def states() -> dict[int, str]:
    found = db.session.execute(select(Message.id, Message.state)).all()
    return {id: state.value for id, state in found}


def test_workers_that_run_together_claim_each_message_once(app: Flask, town: Town, clock: Clock) -> None:
    with app.app_context():
        ids = [queued(town, subject) for subject in range(12)]
    together = Barrier(4)

    def work(worker: int) -> list[int]:
        with app.app_context():
            together.wait()
            return [id for id in ids if committed_claim(id, clock)]

    with ThreadPoolExecutor(4) as threads:
        shares = list(threads.map(work, range(4)))

    assert sorted(id for share in shares for id in share) == ids
    with app.app_context():
        assert set(db.session.scalars(select(Message.attempts))) == {1}


def committed_claim(id: int, clock: Clock) -> bool:
    begin_write()
    is_ours = claim(id, clock())
    db.session.commit()
    return is_ours


def test_what_is_due_comes_longest_due_first_up_to_the_limit(context: Flask, town: Town, clock: Clock) -> None:
    late, early, now = (queued(town, n, due=due * MINUTE) for n, due in enumerate([-5, -60, 0]))
    queued(town, 9, due=1 * MINUTE)

    assert due_ids(EMAIL, clock(), limit=10) == [early, late, now]
    assert due_ids(EMAIL, clock(), limit=2) == [early, late]


def test_a_message_is_not_claimed_before_it_is_due(context: Flask, town: Town, clock: Clock) -> None:
    id = queued(town, due=1 * MINUTE)

    assert not claim(id, clock())
    clock.advance(minutes=1)
    assert claim(id, clock())


@pytest.mark.parametrize("state", [MessageState.SENT, MessageState.FAILED, MessageState.DROPPED, MessageState.EXPIRED])
def test_what_has_ended_is_neither_due_nor_claimed(
    context: Flask, town: Town, clock: Clock, state: MessageState
) -> None:
    message = claimed(town, clock)
    end(message, state, clock(), "because " * 40)
    db.session.commit()
    clock.advance(days=1)

    assert due_ids(EMAIL, clock(), 10) == []
    assert not claim(message.id, clock())
    assert (message.state, message.claimed_at, len(message.reason or "")) == (state, None, 200)
    assert message.ended_at == MONDAY


def test_a_letter_whose_worker_died_is_sent_again_and_a_text_message_is_not(
    context: Flask, town: Town, clock: Clock
) -> None:
    letter, text = claimed(town, clock, subject=1).id, claimed(town, clock, subject=2, channel=SMS).id

    clock.now += STUCK_AFTER - timedelta(seconds=1)
    assert (due_ids(EMAIL, clock(), 10), claim(letter, clock()), claim(text, clock())) == ([], None, None)
    clock.advance(seconds=1)

    assert due_ids(EMAIL, clock(), 10) == [letter]
    assert claim(letter, clock())
    assert not claim(text, clock())
    assert not claim(letter, clock())


def test_the_pause_before_the_next_try_grows(context: Flask, town: Town, clock: Clock) -> None:
    id, pauses = queued(town), []
    for _ in range(8):
        assert claim(id, clock())
        message = db.session.get_one(Message, id, populate_existing=True)
        defer(message, "the server is busy", clock())
        db.session.commit()
        pauses.append((message.due_at - clock()) / MINUTE)
        assert not claim(id, message.due_at - timedelta(seconds=1))
        clock.now = message.due_at

    assert pauses == [1, 5, 15, 60, 180, 360, 360, 360]
    assert (message.state, message.claimed_at, message.attempts) == (MessageState.QUEUED, None, 8)


def test_only_what_waits_about_this_appointment_is_dropped(context: Flask, town: Town, clock: Clock) -> None:
    waiting, underway, other = queued(town, 1), claimed(town, clock, subject=1, channel=SMS).id, queued(town, 2)

    drop_queued(1, "the appointment was moved", clock())
    db.session.commit()

    assert states() == {waiting: "dropped", underway: "sending", other: "queued"}
    dropped = db.session.get_one(Message, waiting)
    assert (dropped.reason, dropped.ended_at, dropped.content) == ("the appointment was moved", MONDAY, None)


def test_a_text_message_whose_worker_died_is_looked_up_after_a_pause_by_one_worker(
    context: Flask, town: Town, clock: Clock
) -> None:
    claimed(town, clock, subject=1)
    text = claimed(town, clock, subject=2, channel=SMS).id
    clock.now += STUCK_AFTER - timedelta(seconds=1)
    assert (undecided_ids(clock(), 10), claim_undecided(text, clock())) == ([], False)

    clock.advance(seconds=1)

    assert undecided_ids(clock(), 10) == [text]
    assert claim_undecided(text, clock())
    assert not claim_undecided(text, clock())
    assert undecided_ids(clock(), 10) == []


def test_what_was_never_handed_over_keeps_its_place_and_its_next_pause(
    context: Flask, town: Town, clock: Clock
) -> None:
    first, second = queued(town, 1, due=-2 * MINUTE), queued(town, 2, due=-1 * MINUTE)
    for _ in range(5):
        assert claim(first, clock())
        release(first, "the server is away")
    db.session.commit()

    assert due_ids(EMAIL, clock(), 10) == [first, second]
    assert claim(first, clock())
    message = db.session.get_one(Message, first, populate_existing=True)
    defer(message, "the server is busy", clock())
    assert message.due_at == clock() + 5 * MINUTE


def test_the_kept_bytes_of_what_ended_are_purged_a_day_later(context: Flask, town: Town, clock: Clock) -> None:
    sent, waiting = claimed(town, clock, subject=1), queued(town, 2)
    end(sent, MessageState.SENT, clock())
    db.session.commit()

    clock.now += KEEP_CONTENT - timedelta(seconds=1)
    tidy(clock())
    assert db.session.scalars(select(Message.content).order_by(Message.id)).all() == [b"Dear Alice"] * 2
    clock.advance(seconds=1)
    tidy(clock())

    rows = db.session.execute(select(Message.id, Message.content))
    assert {row.id: row.content for row in rows} == {sent.id: None, waiting: b"Dear Alice"}


def test_the_same_news_is_queued_once(context: Flask, town: Town, clock: Clock) -> None:
    queued(town, 1)
    queued(town, 1, channel=SMS)

    with pytest.raises(IntegrityError, match=r"uq_message_once|message\.subject_kind, message\.subject_id"):
        queued(town, 1)


def test_whoever_queues_news_knows_whether_it_was_the_first(context: Flask, town: Town, clock: Clock) -> None:
    news = Notice(Kind.LIST, "limit", MessageChannel.EMAIL, clock(), clock() + timedelta(days=1))

    assert [queue_once(town.municipality_id, (1, 0), news, clock()) for _ in range(2)] == [True, False]


def test_the_news_of_a_later_change_is_queued_again(context: Flask, town: Town, clock: Clock) -> None:
    notice = Notice(Kind.REMINDER, "day-before", EMAIL, MONDAY, LATER)
    for sequence in range(3):
        queue(town.municipality_id, (1, sequence), [notice], MONDAY)

    assert len(due_ids(EMAIL, clock(), 10)) == 3


def test_the_database_knows_that_only_what_is_being_sent_is_claimed(context: Flask, town: Town, clock: Clock) -> None:
    message = claimed(town, clock)
    message.claimed_at = None

    with pytest.raises(IntegrityError, match="claimed_while_sending"):
        db.session.flush()


def test_erasing_leaves_the_messages_of_others(context: Flask, town: Town) -> None:
    queued(town, 1)
    queued(town, 2)
    left = queued(town, 3)

    erase([1, 2])
    db.session.commit()

    assert list(states()) == [left]


def test_the_depth_of_the_queue_tells_what_waits_since_when(context: Flask, town: Town, clock: Clock) -> None:
    assert (depth(clock()).due, depth(clock()).oldest_due_at) == (0, None)
    queued(town, 1, due=-30 * MINUTE)
    queued(town, 2, due=-5 * MINUTE)
    queued(town, 3, due=5 * MINUTE)
    for minutes in (0, 2):
        beat("send", clock() + minutes * MINUTE)
        db.session.commit()

    found = depth(clock())

    assert (found.due, found.oldest_due_at) == (2, MONDAY - 30 * MINUTE)
    assert found.beats == {"send": MONDAY + 2 * MINUTE}


def test_the_migration_goes_down_and_up_and_keeps_the_messages(context: Flask, town: Town, clock: Clock) -> None:
    waiting, delivered = queued(town, 1), claimed(town, clock, subject=2, channel=SMS)
    delivered.segments, delivered.change = 2, "closure-7"
    end(delivered, MessageState.DELIVERED, clock())
    db.session.commit()
    ids = (waiting, delivered.id)
    db.session.remove()

    downgrade(revision="0003")
    upgrade()

    kept = {one.id: (one.state, one.content, one.segments) for one in db.session.scalars(select(Message))}
    assert kept == {
        ids[0]: (MessageState.QUEUED, b"Dear Alice", None),
        ids[1]: (MessageState.SENT, b"Dear Alice", None),
    }
