"""Figures of what is booked: the confirming POST, bookings while others read, and the last place."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Iterable, Iterator

from bench.browser import Browser, browsers, hidden, path_of, slots
from bench.holding import Slot, booked, check_no_double, free_at, free_slots, hold_slots
from bench.load import Answer, Broken, Pause, Request, Script, ask, coming_back, play, timed, within
from bench.measure import BURST, CLIENTS, TURNS, Run, latencies, rate, warm
from bench.reading import PAGE, bare_insert, times_as_json
from bench.servers import Server, serving
from bench.town import SLUG

A_BURST = 12  # bookings of one client in one burst
A_RUSH = 10  # bookings of each of sixteen clients in one burst, at most
LONGEST = 1.5  # seconds of such a burst
PACE = 50  # bookings a second
IDLE_SECONDS, PACED_SECONDS = 1.5, 4.0
NEARLY = 0.9  # of the pace must be reached, or the figure says nothing good
CROWD = 200

_numbers = iter(range(1, 10**9))


def details(form: dict[str, str]) -> dict[str, str]:
    """The form filled in by somebody who has never booked before."""
    number = next(_numbers)
    return {**form, "name": f"Citizen {number}", "reach": "email", "email": f"new{number}@example.org", "phone": ""}


def book(run: Run) -> None:
    """The confirming POST against the bare INSERT: one client, and sixteen at one office and at ten."""
    one = free_slots(run.databases, "book")
    needed = run.rounds * TURNS * A_BURST + CLIENTS
    alone, many = _parted(next(iter(one.values())), needed)
    with serving(run.databases, "book") as [server]:
        found = _one_client(run, server, alone)
        run.add("booking: confirming POST p50 / bare INSERT + COMMIT p50, one client", found, 4)
        found = _sixteen(run, server, "book", many)
        run.add("confirming POSTs / bare INSERT + COMMIT, 16 clients, one office", found, 0.2, at_least=True)
    check_no_double(run.databases, "book")
    with serving(run.databases, "both") as [server]:
        by_office = free_slots(run.databases, "both").values()
        everywhere = [slot for office in zip(*by_office, strict=False) for slot in office]
        found = _sixteen(run, server, "both", everywhere)
        run.add("confirming POSTs / bare INSERT + COMMIT, 16 clients, ten offices", found, 0.3, at_least=True)
    check_no_double(run.databases, "both")


def _parted(found: list[Slot], count: int) -> tuple[list[Slot], list[Slot]]:
    return found[:count], found[count:]


def _one_client(run: Run, server: Server, free: list[Slot]) -> list[float]:
    bare_one, browser, slot = bare_insert(run), next(browsers()), iter(free)
    paths = hold_slots(run.databases, "book", [next(slot) for _ in range(CLIENTS)])
    form = _form(server, browser, paths[0])
    _confirm(server, [[browser.post(path, details(form)) for path in paths]])
    warm(bare_one)

    def one() -> float:
        mine, other = list[float](), list[float]()
        paths = hold_slots(run.databases, "book", [next(slot) for _ in range(TURNS * A_BURST)])
        for n in range(TURNS):
            share = paths[n * A_BURST : (n + 1) * A_BURST]
            mine += _confirm(server, [[browser.post(path, details(form)) for path in share]])
            other += latencies(bare_one)
        return statistics.median(mine) / statistics.median(other)

    return run.each_round("confirming POST, one client", one)


def _sixteen(run: Run, server: Server, name: str, free: list[Slot]) -> list[float]:
    """Rates of sixteen clients; the holds of a round are made before it."""
    bare_one, crowd, before = bare_insert(run), [], booked(run.databases, name)
    size = 2 * A_RUSH * CLIENTS
    groups = [free[n * size : (n + 1) * size] for n in range(run.rounds + 1)]
    if len(groups[-1]) < size:
        raise Broken(f"The database {name} has too few free slots for so many rounds.")
    first = hold_slots(run.databases, name, groups.pop())
    for browser, path in zip(browsers(), first[:CLIENTS], strict=False):
        crowd.append((browser, _form(server, browser, path)))
    sent, _ = _rush(server, crowd, first[CLIENTS:])
    warm(bare_one)

    def one() -> float:
        nonlocal sent
        paths = hold_slots(run.databases, name, groups.pop())
        mine = other = 0.0
        for share in (paths[::2], paths[1::2]):
            count, seconds = _rush(server, crowd, share)
            mine += count / seconds
            other += rate(bare_one, seconds=2 * BURST)
            sent += count
        return mine / other

    where = "one office" if name == "book" else "ten offices"
    found = run.each_round(f"confirming POSTs of 16 clients at {where}", one)
    if booked(run.databases, name) - before != sent:
        raise Broken(f"{sent} bookings were confirmed, {booked(run.databases, name) - before} were made.")
    return found


def _rush(server: Server, crowd: list[tuple[Browser, dict[str, str]]], paths: list[str]) -> tuple[int, float]:
    """Confirms these holds by all of these browsers, each the next that is left; how many, and in how many seconds."""
    left, began = iter(paths), time.perf_counter()
    scripts = [within(began + LONGEST, (browser.post(path, details(form)) for path in left)) for browser, form in crowd]
    return len(_confirm(server, scripts)), time.perf_counter() - began


def _confirm(server: Server, requests: Iterable[Iterable[Request]]) -> list[float]:
    seconds: list[float] = []
    play(server.port, [timed(share, seconds) for share in requests])
    return seconds


def _form(server: Server, browser: Browser, path: str) -> dict[str, str]:
    """Opens the form of a hold, which gives the browser its session; what is filled in there already."""
    return hidden(browser.keep(ask(server.port, browser.get(path))), path)


def busy(run: Run) -> None:
    """Free times to one client, at rest and while bookings are made in the same office: each a hold and a booking."""
    free = iter(next(iter(free_slots(run.databases, "busy").values())))
    reached: list[float] = []
    with serving(run.databases, "busy") as [server]:
        ours = (server.port, times_as_json(run, "one")[1])
        crowd = _with_forms(server, CLIENTS)
        warm(ours)

        def one() -> float:
            idle, under_load, done = list[float](), list[float](), list[float]()
            play(server.port, [coming_back(time.perf_counter() + IDLE_SECONDS, ours[1], idle)])
            began = time.perf_counter()
            ends = began + PACED_SECONDS
            scripts = [_paced(crowd[n], (began + n / PACE, ends), free, done) for n in range(CLIENTS)]
            play(server.port, [*scripts, coming_back(ends, ours[1], under_load)])
            reached.append(len(done) / (max(done) - began))
            return statistics.median(under_load) / statistics.median(idle)

        found = run.each_round("free times while bookings land", one)
    check_no_double(run.databases, "busy")
    best = max(reached)
    note = f"bookings a second that really landed: {min(reached):.0f} … {best:.0f}"
    words = f"free times while {PACE} bookings a second land in the same office, p50 / idle p50"
    run.add(words, found, 3, note=note, is_as_asked=best >= NEARLY * PACE)


def _paced(
    who: tuple[Browser, dict[str, str]], span: tuple[float, float], free: Iterator[Slot], done: list[float]
) -> Script:
    """One browser of several that book by turns from span to span, each at its moments while the server keeps up."""
    browser, form = who
    moment, ends = span
    while max(moment, time.perf_counter()) < ends:
        yield Pause(moment, leaves=True)
        _counter, tick = next(free)
        slot = f"{_office_of(form)}.{tick}"
        held = browser.keep((yield browser.post(f"/{SLUG}/nl/hold", {**form, "slot": slot})))
        yield browser.post(path_of(held), details(form))
        done.append(time.perf_counter())
        moment += CLIENTS / PACE


def _office_of(form: dict[str, str]) -> str:
    return form["office"]


def _with_forms(server: Server, count: int) -> list[tuple[Browser, dict[str, str]]]:
    """Browsers that have the page of times open."""
    found: list[tuple[Browser, dict[str, str]]] = []

    def opened(browser: Browser) -> Script:
        answer = browser.keep((yield browser.get(PAGE)))
        form = hidden(answer, f"/{SLUG}/nl/hold")
        found.append((browser, {**form, "office": slots(answer)[0].partition(".")[0]}))

    waiting = [browser for browser, _ in zip(browsers(), range(count), strict=False)]
    for n in range(0, count, CLIENTS):
        play(server.port, [opened(browser) for browser in waiting[n : n + CLIENTS]])
    return found


def last(run: Run) -> None:
    """Two hundred clients press the button of the last free place at once; the one who gets it confirms."""
    by_tick = free_at(next(iter(free_slots(run.databases, "last").values())))
    alone = iter(tick for tick, slots in sorted(by_tick.items()) if len(slots) == 1)
    with serving(run.databases, "last") as [server]:
        crowd = _with_forms(server, CROWD)
        found = run.each_round("the last place", lambda: _last_place(run, server, crowd, next(alone)))
    run.add(f"{CROWD} clients from {CROWD} addresses, last place: how many get it", [1.0], 1, unit="count")
    run.add(f"{CROWD} clients, last place: slowest answer", found, 1000, unit="ms")


def _last_place(run: Run, server: Server, crowd: list[tuple[Browser, dict[str, str]]], tick: int) -> float:
    """The slowest answer in milliseconds. Raises Broken unless exactly one gets the place."""
    before = booked(run.databases, "last")
    answers: list[tuple[Browser, dict[str, str], Answer]] = []

    def pressing(browser: Browser, form: dict[str, str]) -> Script:
        slot = f"{_office_of(form)}.{tick}"
        request = browser.post(f"/{SLUG}/nl/hold", {**form, "slot": slot}, expected={303, 409, 429})
        answers.append((browser, form, browser.keep((yield request))))

    play(server.port, [pressing(*one) for one in crowd])
    counts = Counter(answer.status for _, _, answer in answers)
    if counts[303] != 1:
        raise Broken(f"{counts[303]} of {CROWD} clients got the last place; the answers were {dict(counts)}.")
    if not all(slots(answer) for _, _, answer in answers if answer.status == 409):
        raise Broken("A page that says that the time is taken shows no other times.")
    browser, form, answer = next(one for one in answers if one[2].status == 303)
    ask(server.port, browser.post(path_of(answer), details(form)))
    if booked(run.databases, "last") - before != 1:
        raise Broken("The one who got the last place has no appointment.")
    check_no_double(run.databases, "last")
    return max(answer.seconds for _, _, answer in answers) * 1000
