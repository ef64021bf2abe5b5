"""A Monday release as in Paris, at one tenth: three people arrive a second, each makes ten requests, slots run out."""

from __future__ import annotations

import random
import time
from collections.abc import Generator
from dataclasses import dataclass, field

from bench.browser import Browser, browsers, hidden, path_of, slots
from bench.changing import details
from bench.holding import booked, check_no_double
from bench.load import Answer, Broken, Pause, Request, Script, play
from bench.measure import Run, percentile
from bench.reading import PAGE
from bench.servers import serving
from bench.town import OPENS, SLUG, Plan, busy_day

ARRIVALS = 3  # people a second
REQUESTS = 10  # of each of them
THINK = 1.2  # seconds between the requests of one person, half of it more or less
IDLE = 10  # people who come one after the other before, to compare with
IN_ALL_TO_BOOK = 4  # requests: hold, form, confirm, own page
REFUSALS = frozenset({409, 429})
FRONT, HOLD = f"/{SLUG}/nl/", f"/{SLUG}/nl/hold"


Steps = Generator[Request | Pause, Answer | None, Answer]


@dataclass
class Person:
    """One who wants a slot; `seconds` are of the answers that person got."""

    browser: Browser
    chance: random.Random
    left: int = REQUESTS
    seconds: list[float] = field(default_factory=list)
    own: str | None = None  # the path of the booking's own page
    refused: int = 0  # times that somebody was faster, or too much was held


def size(is_quick: bool) -> tuple[int, int]:
    """For how many seconds people arrive, and how many slots there are for them."""
    return (30, 30) if is_quick else (600, 300)


def release(is_quick: bool) -> Plan:
    """One office whose counters have exactly so many quarters of an hour to give, on the one day that may be booked."""
    wanted = size(is_quick)[1] + IDLE
    return Plan(is_empty=True, closes=OPENS + wanted // 10 * 15, only_on=busy_day())


def replay(run: Run) -> None:
    seconds, wanted = size(run.is_quick)
    count = seconds * ARRIVALS + IDLE
    people = [Person(browser, random.Random(n)) for n, browser in zip(range(count), browsers(), strict=False)]
    early, crowd = people[:IDLE], people[IDLE:]
    with serving(run.databases, "paris") as [server]:
        run.progress.step("a release as in Paris, one person after the other")
        for person in early:
            play(server.port, [_visit(person, 0.0, think=0.0)])
        run.progress.step(f"a release as in Paris, {len(crowd)} people in {seconds} seconds")
        began = time.perf_counter()
        play(server.port, [_visit(person, began + n / ARRIVALS) for n, person in enumerate(crowd)])
    _check(run, people, wanted)
    _note(run, early, crowd)


def _check(run: Run, people: list[Person], wanted: int) -> None:
    """Raises Broken unless every slot was sold once."""
    made = booked(run.databases, "paris")
    buyers = sum(person.own is not None for person in people)
    if made != wanted + IDLE or buyers != made:
        raise Broken(f"Of {wanted + IDLE} slots {made} are booked; {buyers} people have a booking.")
    check_no_double(run.databases, "paris")


def _note(run: Run, early: list[Person], crowd: list[Person]) -> None:
    """Compares those who got a slot with those who came alone: both made the same requests."""
    alone = [one for person in early for one in person.seconds]
    buyers = [one for person in crowd if person.own for one in person.seconds]
    everyone = [one for person in crowd for one in person.seconds]
    refused = sum(person.refused for person in crowd)
    note = (
        f"{len(crowd)} people, {len(everyone)} answers, {refused} times somebody was faster; "
        f"p95 alone {percentile(alone, 95) * 1000:.0f} ms, slowest answer {max(everyone) * 1000:.0f} ms"
    )
    words = "a release as in Paris, one tenth"
    run.add(f"{words}: slots sold, each once", [float(sum(one.own is not None for one in crowd))], unit="count")
    run.add(f"{words}: p95 / idle p95", [percentile(buyers, 95) / percentile(alone, 95)], 3, note=note)
    run.add(f"{words}: p50 / idle p50", [percentile(buyers, 50) / percentile(alone, 50)])


def _visit(person: Person, arrives: float, think: float = THINK) -> Script:
    """Looks around, reloads, takes a time as soon as one is free, confirms, and looks at the booking again."""
    yield Pause(arrives)
    for path in (FRONT, PAGE, PAGE, PAGE):
        page = yield from _ask(person, person.browser.get(path), think)
    while person.left > 0:
        offered = slots(page)
        if offered and person.left >= IN_ALL_TO_BOOK and person.own is None:
            page = yield from _take(person, page, person.chance.choice(offered), think)
        else:
            page = yield from _ask(person, person.browser.get(person.own or PAGE), think)


def _take(person: Person, page: Answer, slot: str, think: float) -> Steps:
    """Holds the time and confirms it; what comes back is the own page, or the one that says it is taken."""
    browser, may_be = person.browser, {303, *REFUSALS}
    held = yield from _ask(person, browser.post(HOLD, {**hidden(page, HOLD), "slot": slot}, may_be), think)
    if held.status in REFUSALS:
        return held
    form = yield from _ask(person, browser.get(path_of(held)), think)
    filled = details(hidden(form, path_of(held)))
    done = yield from _ask(person, browser.post(path_of(held), filled, may_be), think)
    if done.status in REFUSALS:
        return done
    person.own = path_of(done)
    return (yield from _ask(person, browser.get(person.own), think))


def _ask(person: Person, request: Request, think: float) -> Steps:
    """One of the person's requests, and time to think about the answer."""
    answer = person.browser.keep((yield request))
    person.left -= 1
    person.seconds.append(answer.seconds)
    person.refused += answer.status in REFUSALS
    if think:
        yield Pause(time.perf_counter() + think * person.chance.uniform(0.5, 1.5))
    return answer
