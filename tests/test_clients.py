"""Real calendar programs read what we write: the same times as the database, all year round, and what was cancelled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, update
from werkzeug.serving import make_server

from booking.appointments.models import Appointment
from booking.db import db
from booking.townhall.models import Office, Service
from booking.townhall.revisions import raise_office, raise_town
from tests.calendar_clients import Seen, Subscriber, by_ical_js, by_khal, by_libical
from tests.conftest import Clock
from tests.factories import Town
from tests.test_feed import TEN, add, booked, cancelled, fetch, fresh, make_feed
from tests.test_feed_scopes import moved, second_office

pytestmark = [pytest.mark.calendars, pytest.mark.slow]

HALF_AN_HOUR = timedelta(minutes=30)
SEASONS = [
    *(datetime(2026, 10, 24, 21, 30, tzinfo=UTC) + HALF_AN_HOUR * n for n in range(14)),  # the clock is put back
    datetime(2026, 12, 15, 8, 20, tzinfo=UTC),
    *(datetime(2027, 3, 27, 22, 30, tzinfo=UTC) + HALF_AN_HOUR * n for n in range(12)),  # and put forward
    datetime(2027, 7, 6, 7, 45, tzinfo=UTC),
]
PROGRAMS = {"ical.js": by_ical_js, "khal": by_khal, "libical": by_libical}


def all_year(town: Town, clock: Clock) -> None:
    """Appointments in summer, in winter, and around both changes of the clock; one of each is cancelled."""
    clock.now = datetime(2026, 10, 20, 8, 0, tzinfo=UTC)
    db.session.execute(update(Service).values(max_days_ahead=300))
    raise_town(db.session.get_one(Office, town.office_id).municipality, clock())
    ids = [add(town, start) for start in SEASONS]
    for id in ids[3::6]:
        cancelled(town, id, clock)
    db.session.commit()


def in_database() -> list[Seen]:
    return sorted(
        Seen(one.starts_at, one.ends_at, one.uid, not one.is_booked) for one in db.session.scalars(select(Appointment))
    )


def without_uids(seen: list[Seen]) -> list[Seen]:
    return sorted(replace(one, uid="") for one in seen)


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_program_reads_the_times_of_the_database_and_what_was_cancelled(
    context: Flask, town: Town, clock: Clock, tmp_path: Path, program: str
) -> None:
    all_year(town, clock)
    body = fetch(town, make_feed(town), clock())

    read = PROGRAMS[program](body.content, tmp_path)

    assert read == in_database()
    assert 0 < sum(one.is_cancelled for one in read) < len(read) == len(SEASONS)


@pytest.fixture
def serve(app: Flask) -> Iterator[Callable[[str], str]]:
    """The application behind a real server; what comes back makes an address of a path."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield lambda path: f"http://127.0.0.1:{server.server_port}{path}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_subscriber_sees_the_same_times_then_a_move_and_a_cancellation(
    app: Flask, town: Town, clock: Clock, tmp_path: Path, serve: Callable[[str], str]
) -> None:
    with app.app_context():
        all_year(town, clock)
        subscriber = Subscriber(tmp_path, serve(f"/testdorp/feeds/{make_feed(town)}.ics"))
        subscriber.subscribe()
        assert subscriber.sync() == without_uids(in_database())

        clock.advance(minutes=5)
        fresh()
        winter, summer = (select(Appointment).where(Appointment.starts_at == SEASONS[n]) for n in (14, -1))
        one = db.session.scalars(winter).one()
        one.starts_at, one.ends_at = (at + timedelta(days=7) for at in (one.starts_at, one.ends_at))
        one.sequence, one.changed_at = 1, clock()
        raise_office([town.office_id], clock())
        db.session.commit()
        cancelled(town, db.session.scalars(summer).one().id, clock)

        again = subscriber.sync()
        assert again == without_uids(in_database())
        assert len(again) == len(SEASONS) == len(list(subscriber.shelf.iterdir()))
        assert [one.is_cancelled for one in again][-1]


def test_three_moves_and_a_cancellation_are_one_event_at_every_step(
    app: Flask, town: Town, clock: Clock, tmp_path: Path, serve: Callable[[str], str]
) -> None:
    with app.app_context():
        appointment = booked(town, clock)
        subscriber = Subscriber(tmp_path, serve(f"/testdorp/feeds/{make_feed(town)}.ics"))
        subscriber.subscribe()
        seen, sequences = [subscriber.sync()], [sequence(subscriber)]
        for days in (1, 2, 3):
            clock.advance(minutes=1)
            moved(town, appointment, town.office_id, TEN + timedelta(days=days), clock)
            seen.append(subscriber.sync())
            sequences.append(sequence(subscriber))
        clock.advance(minutes=1)
        cancelled(town, appointment, clock)
        seen.append(subscriber.sync())
        sequences.append(sequence(subscriber))

    assert [len(one) for one in seen] == [1] * 5
    assert [one[0].starts_at for one in seen] == [TEN + timedelta(days=days) for days in (0, 1, 2, 3, 3)]
    assert [one[0].is_cancelled for one in seen] == [False] * 4 + [True]
    assert sequences == [0, 1, 2, 3, 4]


def test_a_subscriber_of_the_old_desk_sees_that_the_appointment_is_gone(
    app: Flask, town: Town, clock: Clock, tmp_path: Path, serve: Callable[[str], str]
) -> None:
    with app.app_context():
        office_id, desk_id = second_office(town)
        appointment = booked(town, clock)
        places = {}
        for name, of in (("old", {"desk_id": town.desk_id}), ("new", {"desk_id": desk_id})):
            (tmp_path / name).mkdir()
            places[name] = Subscriber(tmp_path / name, serve(f"/testdorp/feeds/{make_feed(town, **of)}.ics"))
            places[name].subscribe()
        assert [[one.is_cancelled for one in place.sync()] for place in places.values()] == [[False], []]

        clock.advance(minutes=1)
        moved(town, appointment, office_id, TEN + timedelta(days=1), clock)

        assert [[one.is_cancelled for one in place.sync()] for place in places.values()] == [[True], [False]]


def sequence(subscriber: Subscriber) -> int:
    """The SEQUENCE of the only event in the subscriber's folder."""
    (file,) = subscriber.shelf.iterdir()
    (line,) = [line for line in file.read_text().splitlines() if line.startswith("SEQUENCE:")]
    return int(line.partition(":")[2])
