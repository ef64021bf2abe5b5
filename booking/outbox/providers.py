"""The providers: which one is away and when it is asked again, and how fast it may be given messages.

It stands in a table, so that all workers know: of thousands of due messages only the first finds a provider away.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import case, literal, select, update

from booking.db import UtcDateTime, db, insert_unless_there, run
from booking.outbox.models import MessageChannel, Provider

PAUSES = (15, 30, 60, 120, 300)  # seconds before a provider that is away is asked again; the last one repeats


def provider(channel: MessageChannel) -> Provider | None:
    """What is known about it; nothing where it never failed and has no limit."""
    return db.session.get(Provider, channel)


def away() -> Sequence[Provider]:
    """The providers that did not answer when they were last asked."""
    return db.session.scalars(select(Provider).where(Provider.away_since.is_not(None))).all()


def went_away(channel: MessageChannel, reason: str, now: datetime) -> None:
    """Leaves the provider alone for a pause that grows."""
    _ensure(channel)
    known = db.session.get_one(Provider, channel, populate_existing=True)
    known.away_since = known.away_since or now
    known.retry_at = now + timedelta(seconds=PAUSES[min(known.failures, len(PAUSES) - 1)])
    known.failures += 1
    known.reason = reason[:200]
    db.session.flush()


def came_back(channel: MessageChannel) -> None:
    """It took a message again."""
    back = {"away_since": None, "retry_at": None, "failures": 0, "reason": None}
    run(update(Provider).where(Provider.channel == channel).values(back))


def turn(channel: MessageChannel, per_second: float, now: datetime) -> datetime:
    """When the next message may go to the provider: nobody else gets this turn. Flushes."""
    _ensure(channel)
    start = case((Provider.free_at > now, Provider.free_at), else_=literal(now, UtcDateTime()))
    free_at = db.session.scalar(select(start).where(Provider.channel == channel).with_for_update()) or now
    taken = update(Provider).where(Provider.channel == channel)
    run(taken.values(free_at=free_at + timedelta(seconds=1 / per_second)))
    return free_at


def _ensure(channel: MessageChannel) -> None:
    insert_unless_there(Provider, [{"channel": channel, "failures": 0}])
