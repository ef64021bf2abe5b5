"""Figures of what is read: free times as JSON and as a page, a day's agenda, and how they grow with the data."""

from __future__ import annotations

import statistics

from bench import bare
from bench.browser import Browser, hidden, path_of
from bench.load import Request, ask, get
from bench.measure import Run, Source, latencies, p50_ratio, rate, rate_ratio, warm
from bench.town import EMAIL, PASSWORD, SLUG, service_key

TIMES = f"/{SLUG}/api/v1/services/{service_key(0)}/times"  # the free times of a service, as JSON
PAGE = f"/{SLUG}/nl/service/{service_key(0)}"
GROWN = {
    "both": "10 times the history and the offices",
    "history": "10 times the history",
    "offices": "10 times the offices",
}


def noise(run: Run) -> None:
    """The bare handlers by themselves: how fast they are, and how much the same thing differs from itself."""
    port = run.server(bare.NAME).port
    trivial, select, insert = (port, get("/trivial")), bare_select(run), bare_insert(run)
    warm(trivial, select, insert)
    same = run.each_round("the bare SELECT against itself", lambda: p50_ratio(select, select))
    run.add("noise: bare SELECT p50 / bare SELECT p50, one client", same)
    same = run.each_round("the bare SELECT against itself, 16 clients", lambda: rate_ratio(select, select))
    run.add("noise: bare SELECT / bare SELECT, 16 clients", same)
    for words, source in (("trivial answer", trivial), ("SELECT", select), ("INSERT + COMMIT", insert)):
        times = run.each_round(f"the bare {words}", lambda source=source: p50_ms(source))  # type: ignore[misc]
        run.add(f"bare {words}, p50, one client", times, unit="ms")
        rates = run.each_round(f"the bare {words}, 16 clients", lambda source=source: rate(source))  # type: ignore[misc]
        run.add(f"bare {words}, 16 clients", rates, unit="per second")


def times(run: Run) -> None:
    ours, select = times_as_json(run, "one"), bare_select(run)
    size = len(ask(*ours).body)
    unchanged = (ours[0], _not_modified(ours))
    warm(ours, select, unchanged)
    found = run.each_round("free times as JSON, one client", lambda: p50_ratio(ours, select))
    run.add("free times (JSON, 30 days) p50 / bare SELECT p50, one client", found, 1.5, note=f"{size / 1000:.0f} kB")
    found = run.each_round("free times as JSON, 16 clients", lambda: rate_ratio(ours, select))
    run.add("free times (JSON) / bare SELECT, 16 clients", found, 0.8, at_least=True)
    found = run.each_round("free times not modified, 16 clients", lambda: rate_ratio(unchanged, select))
    run.add("not modified (304) / bare SELECT, 16 clients", found, 0.9, at_least=True)


def growth(run: Run) -> None:
    small = times_as_json(run, "one")
    for name, words in GROWN.items():
        if name not in run.databases.towns:
            continue
        large = times_as_json(run, name)
        warm(small, large)
        found = run.each_round(f"free times with {words}", lambda large=large: p50_ratio(large, small))  # type: ignore[misc]
        count = run.databases.counts[name]
        bar = 1.1 if name == "both" else None
        run.add(f"growth of p50 with {words}", found, bar, note=f"{count:,} appointments".replace(",", " "))


def page(run: Run) -> None:
    office_id = run.databases.towns["one"].office_ids[0]
    ours, select = (run.server("one").port, get(f"{PAGE}?office={office_id}")), bare_select(run)
    size = len(ask(*ours).body)
    warm(ours, select)
    found = run.each_round("page of times", lambda: p50_ratio(ours, select))
    run.add("page of times (HTML) p50 / bare SELECT p50", found, 6, note=f"{size / 1000:.0f} kB")


def agenda(run: Run) -> None:
    town, port, clerk = run.databases.towns["one"], run.server("one").port, Browser("10.0.0.1")
    sign_in = f"/{SLUG}/staff/sign-in"
    form = sign_in_form(port, clerk, sign_in)
    answer = clerk.keep(ask(port, clerk.post(sign_in, form)))
    assert path_of(answer).startswith(f"/{SLUG}/staff"), answer.head
    ours = (port, clerk.get(f"/{SLUG}/staff/agenda/{town.desk_id}/{town.busy_day}"))
    select, size = bare_select(run), len(ask(*ours).body)
    warm(ours, select)
    found = run.each_round("agenda of a day", lambda: p50_ratio(ours, select))
    run.add("agenda of 300 appointments (HTML) p50 / bare SELECT p50", found, 8, note=f"{size / 1000:.0f} kB")


def times_as_json(run: Run, name: str) -> Source:
    return run.server(name).port, get(f"{TIMES}?office={run.databases.towns[name].office_ids[0]}&days=30")


def bare_select(run: Run) -> Source:
    return run.server(bare.NAME).port, get(f"/select/{bare.ROWS // 2}")


def bare_insert(run: Run) -> Source:
    wire = b"POST /insert HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
    return run.server(bare.NAME).port, Request(wire, frozenset({201}))


def p50_ms(source: Source) -> float:
    return statistics.median(latencies(source)) * 1000


def _not_modified(source: Source) -> Request:
    """The same question by somebody who has the answer already."""
    port, request = source
    path = request.wire.split()[1].decode()
    return get(path, {"If-None-Match": ask(port, request).header("ETag")}, expected={304})


def sign_in_form(port: int, clerk: Browser, path: str) -> dict[str, str]:
    found = clerk.keep(ask(port, clerk.get(path)))
    return {**hidden(found, ""), "email": EMAIL, "password": PASSWORD}
