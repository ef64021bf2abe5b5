"""Figures at Munich's size: 109 offices, 1,000 counters, 287 services, 60 days."""

from __future__ import annotations

import random
import statistics
import time
from dataclasses import replace
from datetime import UTC, datetime

from flask import Flask

from bench.holding import free_slots
from bench.load import Request, get, play, timed, within
from bench.measure import CLIENTS, Run
from bench.servers import memory, serving
from bench.town import SLUG, service_key
from booking.appointments.holds import hold
from booking.appointments.offers import Demand, soonest
from booking.appointments.plans import Errands
from booking.appointments.timelines import OfficeLines, office_lines
from booking.db import begin_write, db
from booking.slots.clock import moment_of
from booking.townhall.models import Office
from booking.townhall.standing import Standing, standing

CALLS = 40  # in a round
LONGEST, QUICK_SECONDS = 240.0, 25.0  # of asking everything
SEVERAL = 5  # services that are asked for at once
VISIT, WAY = 3, 10  # services in one visit, and the minutes from office to office


def first_free(run: Run) -> None:
    """The first free time over all offices, in this process; warm, and after one office changed."""
    free = iter([slot for slots in free_slots(run.databases, "munich").values() for slot in slots[:10]])
    with run.databases.app("munich") as app:
        _seconds(app, 1)
        found = run.each_round("first free over 109 offices", lambda: _median_ms(app, 1))
        run.add("first free over 109 offices, in process", found, 10, unit="ms")
        found = run.each_round("first free of five services", lambda: _median_ms(app, SEVERAL))
        run.add(f"first free of {SEVERAL} services over 109 offices, in process", found, unit="ms")

        def changed() -> float:
            times = []
            for _ in range(10):
                _change(app, *next(free))
                times.append(_seconds(app, 1))
            return statistics.median(times) * 1000

        found = run.each_round("first free after a change", changed)
        run.add("first free over 109 offices, just after one of them changed", found, unit="ms")


def visit(run: Run) -> None:
    """All times of a visit of three services over two offices, and the plan of the first, in this process.

    The timelines are in memory, as for every page; what was worked out from them is thrown away before each call.
    """
    with run.databases.app("munich") as app:

        def found() -> float:
            return statistics.median(_visit_seconds(app) for _ in range(CALLS)) * 1000

        times = run.each_round("a visit of three services over two offices", found)
        run.add("a visit of three services over two offices and 60 days, in process", times, 20, unit="ms")


def _visit_seconds(app: Flask) -> float:
    with app.app_context():
        here, now = _town(), datetime.now(UTC)
        demands = tuple(Demand(one) for one in here.services[:VISIT])
        two = here.offices_for(demands[0].service)[:2]
        ids = (two[0].id, two[1].id)
        standing = replace(here, ways={ids: WAY, ids[::-1]: WAY})
        lines = {one.id: _forgetful(office_lines(one, now)) for one in two}
        began = time.perf_counter()
        errands = Errands(demands, standing, lines, now)
        first, office_id = min((one.first, one.office_id) for one in errands.offers() if one.first)
        plan = errands.plan(office_id, first)
        passed = time.perf_counter() - began
        assert plan and len(plan) == VISIT
        return passed


def _forgetful(lines: OfficeLines) -> OfficeLines:
    """The same timelines, of which nothing has been worked out yet."""
    return replace(lines, counters=tuple(replace(one) for one in lines.counters))


def _median_ms(app: Flask, services: int) -> float:
    return statistics.median(_seconds(app, services) for _ in range(CALLS)) * 1000


def _seconds(app: Flask, services: int) -> float:
    """How long the call takes that the pages make, as in a request of its own."""
    with app.app_context():
        here, now = _town(), datetime.now(UTC)
        demands = [Demand(one) for one in here.services[:services]]
        offices = here.offices_for(demands[0].service)
        began = time.perf_counter()
        found = soonest(offices, demands, now)
        passed = time.perf_counter() - began
        assert len(offices) == 109 and all(found)
        return passed


def _change(app: Flask, counter_id: int, tick: int) -> None:
    """A citizen holds a time at the counter's office."""
    with app.app_context():
        here = _town()
        office_id = next(desk.office_id for desk in here.desks if any(one.id == counter_id for one in desk.counters))
        begin_write()
        office = db.session.get_one(Office, office_id)
        hold(office, Demand(here.services[0]), moment_of(tick), datetime.now(UTC))
        db.session.commit()


def _town() -> Standing:
    found = standing(SLUG)
    assert found is not None
    return found[0]


def worker_memory(run: Run) -> None:
    """What a worker weighs once it has answered the free times of every service at every office."""
    with serving(run.databases, "munich") as [server]:
        requests, answered = [*_all_questions(run), *_all_questions(run)], list[float]()
        run.progress.step("memory at Munich's size")
        ends = time.perf_counter() + (QUICK_SECONDS if run.is_quick else LONGEST)
        play(server.port, [timed(within(ends, requests[n::CLIENTS]), answered) for n in range(CLIENTS)])
        weights = [memory(pid) for pid in server.workers]
    rss = ", ".join(f"{one:.0f}" for _, one in weights)
    note = f"the heavier of two workers, PSS; RSS of each: {rss} MB; {len(answered)} answers"
    run.add("memory of a web worker at Munich's size", [max(pss for pss, _ in weights)], 250, unit="MB", note=note)


def _all_questions(run: Run) -> list[Request]:
    """The free times of every service at every office that does it, and of every service everywhere, in turns."""
    town = run.databases.towns["munich"]
    found = [
        f"/{SLUG}/api/v1/services/{service_key(position)}/times?office={office_id}"
        for office_id, positions in town.services_of.items()
        for position in positions
    ]
    found += [f"/{SLUG}/nl/service/{service_key(position)}" for position in range(len(town.service_ids))]
    random.Random(5).shuffle(found)
    return [get(path) for path in found]
