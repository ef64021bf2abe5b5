"""Figures of calendar feeds: unchanged, rendered for the first time, after one change, and what others notice of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update

from bench import bare
from bench.databases import KEY
from bench.load import A_FEW, Pause, Request, Script, ask, get, play
from bench.measure import Run, Source, percentile, rate_ratio, warm
from bench.reading import TIMES, bare_select
from bench.servers import Server, serving
from bench.town import SLUG
from booking.appointments.models import Appointment
from booking.calendars.models import Feed
from booking.calendars.subscriptions import feed_token
from booking.db import begin_write, db
from booking.townhall.revisions import raise_activity

NAME = "feed"  # of the database
SMALL, LARGE = 300, 5_000  # events
CHANGES = 16  # in a round
RENDERINGS = 3  # of the large feed in a round, so that each worker has its turn
IDLE_SECONDS = 1.5
TICK = timedelta(minutes=5)
AGO = timedelta(days=500)  # where what is too much is put: outside every feed


def feeds(run: Run) -> None:
    """All figures of feeds, on one server that is changed under way."""
    small, large = _prepare(run)
    with serving(run.databases, NAME) as [server]:
        _check_sizes(server, small, large)
        _unchanged(run, (server.port, get(small)))
        _first(run, server, small)
        _after_one_change(run, server, small)
        _beside_others(run, server, large)


def _prepare(run: Run) -> tuple[str, str]:
    """Cuts the town's appointments to size, and makes a feed of one counter and one of the desk; their paths."""
    town = run.databases.towns[NAME]
    first, others, long_ago = town.counter_ids[0], town.counter_ids[1:], datetime.now(UTC) - AGO
    with run.databases.app(NAME) as app, app.app_context():
        begin_write()
        for counters, keep in (((first,), SMALL), (others, LARGE - SMALL)):
            at = select(Appointment.id).where(Appointment.counter_id.in_(counters)).order_by(Appointment.starts_at)
            surplus = Appointment.id.in_(list(db.session.scalars(at))[keep:])
            away = update(Appointment).where(surplus).values(starts_at=long_ago - TICK, ends_at=long_ago)
            db.session.execute(away, execution_options=_UNSEEN)
        made = [Feed(counter_id=first), Feed(desk_id=town.desk_id)]
        for feed in made:
            feed.municipality_id, feed.name, feed.made_at = town.municipality_id, "A program", datetime.now(UTC)
        db.session.add_all(made)
        raise_activity(town.office_ids, datetime.now(UTC))
        db.session.commit()
        small, large = (f"/{SLUG}/feeds/{feed_token((KEY,), feed)}.ics" for feed in made)
        return small, large


_UNSEEN = {"synchronize_session": False}


def _check_sizes(server: Server, small: str, large: str) -> None:
    for path, size in ((small, SMALL), (large, LARGE)):
        found = ask(server.port, get(path)).body.count(b"BEGIN:VEVENT")
        assert found == size, f"{found} events instead of {size}"


def _unchanged(run: Run, ours: Source) -> None:
    select_one = bare_select(run)
    path = ours[1].wire.split()[1].decode()
    tag = ask(*ours).header("ETag")
    unchanged = (ours[0], get(path, {"If-None-Match": tag}, expected={304}))
    size = len(ask(*ours).body)
    warm(ours, unchanged, select_one)
    found = run.each_round("feed not modified, 16 clients", lambda: rate_ratio(unchanged, select_one))
    run.add("feed not modified (304) / bare SELECT, 16 clients", found, 0.9, at_least=True)
    found = run.each_round("feed unchanged, 16 clients", lambda: rate_ratio(ours, select_one))
    words = f"feed of {SMALL} events, unchanged (200) / bare SELECT, 16 clients"
    run.add(words, found, 0.6, at_least=True, note=f"{size / 1000:.0f} kB")


def _first(run: Run, server: Server, path: str) -> None:
    rendered = (run.server(bare.NAME).port, get(f"/icalendar/{SMALL}"))
    warm(rendered)
    found = run.each_round(
        "feed rendered for the first time", lambda: _after(run, (server.port, path), SMALL, rendered)
    )
    run.add(f"first rendering of {SMALL} events, p50 / bare icalendar", found, 1.3)


def _after_one_change(run: Run, server: Server, path: str) -> None:
    select_one = bare_select(run)
    _after(run, (server.port, path), 1, select_one)  # both workers know the feed
    found = run.each_round("feed after one change", lambda: _after(run, (server.port, path), 1, select_one))
    run.add(f"feed of {SMALL} events after one change, p50 / bare SELECT p50", found, 8)


def _after(run: Run, ours: tuple[int, str], count: int, other: Source) -> float:
    """The first answer after so many events were changed against the other handler, each on a new connection."""
    mine, theirs = list[float](), list[float]()
    with run.databases.app(NAME) as app, app.app_context():
        for n in range(CHANGES):
            _change(run, count, n)
            mine.append(ask(ours[0], get(ours[1])).seconds)
            theirs += [ask(*other).seconds for _ in range(A_FEW)]
    return statistics.median(mine) / statistics.median(theirs)


def _change(run: Run, count: int, n: int = 0) -> None:
    """Changes so many appointments of the small feed, or all. Commits."""
    town, now = run.databases.towns[NAME], datetime.now(UTC)
    counters = town.counter_ids if count == LARGE else town.counter_ids[:1]
    recent = Appointment.starts_at > now - AGO / 2
    ids = select(Appointment.id).where(Appointment.counter_id.in_(counters), recent).order_by(Appointment.id)
    begin_write()
    raise_activity(town.office_ids, now)
    which = list(db.session.scalars(ids if count > 1 else ids.offset(n).limit(1)))
    assert len(which) == count, f"{len(which)} appointments instead of {count}"
    changed = update(Appointment).where(Appointment.id.in_(which)).values(changed_at=now)
    db.session.execute(changed, execution_options=_UNSEEN)
    db.session.commit()


def _beside_others(run: Run, server: Server, path: str) -> None:
    other = get(f"{TIMES}?office={run.databases.towns[NAME].office_ids[0]}&days=30")
    warm((server.port, other))
    took: list[float] = []

    def one() -> float:
        idle, beside = list[float](), list[float]()
        began = time.perf_counter()
        play(server.port, [_asking(other, idle, lambda: time.perf_counter() > began + IDLE_SECONDS)])
        with run.databases.app(NAME) as app, app.app_context():
            for _ in range(RENDERINGS):
                _change(run, LARGE)
                done: list[float] = []
                play(server.port, [_fetching(get(path), done), _asking(other, beside, lambda done=done: bool(done))])  # type: ignore[misc]
                took.extend(done)
        return percentile(beside, 95) / percentile(idle, 95)

    found = run.each_round(f"others while {LARGE} events are rendered", one)
    words = f"free times while a feed of {LARGE:,} events is rendered, p95 / idle p95".replace(",", " ", 1)
    run.add(words, found, 3, note=f"the rendering took {min(took):.1f} to {max(took):.1f} s")


def _fetching(request: Request, done: list[float]) -> Script:
    answer = yield request
    assert answer is not None
    done.append(answer.seconds)


def _asking(request: Request, seconds: list[float], is_over: Callable[[], bool]) -> Script:
    """One client that asks until it is over, on new connections, so that it meets every worker."""
    while not is_over():
        for _ in range(A_FEW):
            answer = yield request
            assert answer is not None
            seconds.append(answer.seconds)
        yield Pause(0.0, leaves=True)
