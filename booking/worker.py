"""The worker: a clock that calls functions. What is due stands in tables, so a missed tick loses nothing."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from types import FrameType

from apscheduler.schedulers.blocking import BlockingScheduler
from flask import Flask

from booking import create_app
from booking.appointments.crowd import forget_places
from booking.appointments.departures import forget_departures
from booking.appointments.findings import due, keep
from booking.appointments.holds import forget_ended
from booking.appointments.occupancy import sweep
from booking.appointments.recount import recount
from booking.config import Settings
from booking.db import begin_write, db
from booking.delivery.dayletter import queue_letters
from booking.delivery.daylist import write_lists
from booking.delivery.files import delete_old
from booking.delivery.send import send_due, settle
from booking.exchange.models import forget_uploads
from booking.outbox.models import MessageChannel
from booking.outbox.queue import beat, tidy
from booking.privacy.forget import forget_due, forget_needs
from booking.townhall.revisions import forget_changes

Step = Callable[[Settings, Callable[[], datetime]], None]


def letters(settings: Settings, clock: Callable[[], datetime]) -> None:
    """Sends e-mail until nothing is due."""
    while send_due(settings, clock, MessageChannel.EMAIL):
        pass


def texts(settings: Settings, clock: Callable[[], datetime]) -> None:
    """Sends text messages until nothing is due; a step of its own, so that neither waits for the other's provider."""
    settle(settings, clock)
    while send_due(settings, clock, MessageChannel.SMS):
        pass


def tidying(settings: Settings, clock: Callable[[], datetime]) -> None:
    """Deletes what has ended by itself: holds, the kept bytes of sent messages, and written messages of last week."""
    delete_old(settings.instance, clock())
    begin_write()
    sweep(clock())
    forget_ended(clock())
    forget_places(clock())
    forget_changes(clock())
    forget_departures(clock())
    forget_uploads(clock())
    tidy(clock())
    db.session.commit()


def erasure(_settings: Settings, clock: Callable[[], datetime]) -> None:
    """Forgets the people whose day has come, in batches. Asked every hour: who is due stands in the bookings."""
    while _forget_a_batch(clock()):
        pass


def recounting(_settings: Settings, clock: Callable[[], datetime]) -> None:
    """Counts again what each town sold, once a night. Asked every hour: when it last ran stands in the runs."""
    municipality_ids = due(clock())
    db.session.rollback()
    for id in municipality_ids:
        now = clock()
        counted = recount(id, now)
        begin_write()
        keep(id, counted, now)
        db.session.commit()


def lists(settings: Settings, clock: Callable[[], datetime]) -> None:
    """Writes and mails the lists of the day, once after six. Asked every minute: whether they are there, the folder and
    the outbox say."""
    if settings.day_lists is not None:
        write_lists(settings.day_lists, clock())
    queue_letters(settings, clock())


STEPS: dict[str, tuple[int, Step]] = {  # seconds between two runs
    "e-mail": (5, letters),
    "text messages": (5, texts),
    "tidying": (60, tidying),
    "erasure": (3600, erasure),
    "recount": (3600, recounting),
    "day lists": (60, lists),
}


def run_step(app: Flask, name: str) -> None:
    """Runs one step in a context of its own, and writes down that it ended. Commits."""
    settings, clock = app.extensions["balie"]["settings"], app.extensions["balie"]["clock"]
    with app.app_context():
        try:
            STEPS[name][1](settings, clock)
        finally:
            db.session.rollback()
        begin_write()
        beat(name, clock())
        db.session.commit()


def scheduler(app: Flask) -> BlockingScheduler:
    """Interval ticks in memory; a late one runs once, and never two of the same at a time."""
    made = BlockingScheduler(
        timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    )
    at_once = datetime.now(UTC)
    for name, (seconds, _step) in STEPS.items():
        made.add_job(partial(run_step, app, name), "interval", seconds=seconds, id=name, next_run_time=at_once)
    return made


def main() -> None:
    os.umask(0o077)  # written messages are for their owner only
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    made = scheduler(create_app())

    def stop(_signal: int, _frame: FrameType | None) -> None:
        made.shutdown(wait=False)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    made.start()


def _forget_a_batch(now: datetime) -> int:
    begin_write()
    count = forget_needs(now) + forget_due(now)
    db.session.commit()
    return count


if __name__ == "__main__":
    main()
