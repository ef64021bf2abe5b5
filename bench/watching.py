"""What it costs that agendas follow the day: fifty of them open, each asking every few seconds with its ETag."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from bench.browser import Browser, hidden, path_of
from bench.load import Pause, Script, ask, get, play
from bench.measure import Run
from bench.reading import sign_in_form
from bench.servers import serving
from bench.town import SLUG

OPEN = 50
PAUSE = 4.5  # seconds, as the page's script asks
SECONDS = 45.0
CHANGES = 45.0  # seconds from one step to the next: 160 visits of four steps in eight hours
MAY_COST = 50  # milliseconds of a core each second: five percent


def agendas(run: Run) -> None:
    """Milliseconds of processor time a second that fifty open agendas of 300 appointments take, changes included."""
    town, clerk = run.databases.towns["busy"], Browser("10.0.0.1")
    with serving(run.databases, "busy") as [server]:
        sign_in = f"/{SLUG}/staff/sign-in"
        answer = clerk.keep(ask(server.port, clerk.post(sign_in, sign_in_form(server.port, clerk, sign_in))))
        assert path_of(answer).startswith(f"/{SLUG}/staff"), answer.head
        path = f"/{SLUG}/staff/agenda/{town.desk_id}/{town.busy_day}"
        pulse = f"/{SLUG}/staff/pulse/{town.office_ids[0]}"
        form = hidden(clerk.keep(ask(server.port, clerk.get(path))), "/staff/sign-out")

        pages = [Page(pulse, path) for _ in range(OPEN)]

        def one(seconds: float = SECONDS) -> float:
            began, before = time.perf_counter(), _worked(server.workers)
            watchers = [
                _watching(clerk, page, began + n * PAUSE / OPEN, began + seconds) for n, page in enumerate(pages)
            ]
            play(server.port, [*watchers, _changing(clerk, town.desk_id, form, began)])
            return 1000 * (_worked(server.workers) - before) / (time.perf_counter() - began)

        one(CHANGES / 2 + 2 * PAUSE)  # all pages are open, and every worker has made the table once
        found = run.each_round("fifty open agendas", one)
    note = f"each asks every {PAUSE} seconds; a visit's step every {CHANGES:.0f} seconds"
    run.add(f"{OPEN} open agendas of 300 appointments: processor time a second", found, MAY_COST, unit="ms", note=note)


@dataclass
class Page:
    """An open page: where it feels the pulse, where it is, and the ETags it has of both."""

    pulse: str
    path: str
    beat: str = ""
    etag: str = ""


def _watching(clerk: Browser, page: Page, first: float, ends: float) -> Script:
    """One open page, as its script does it: it feels the pulse of the office, and fetches the day when that changed."""
    for n in count():
        moment = first + n * PAUSE
        if moment >= ends:
            return
        yield Pause(moment, leaves=True)
        answer = yield get(page.pulse, {"If-None-Match": page.beat}, {204, 304})
        assert answer is not None
        if answer.status == 304:
            continue
        page.beat = answer.header("ETag")
        answer = yield get(page.path, {**clerk.headers, "If-None-Match": page.etag}, {200, 304})
        assert answer is not None
        page.etag = answer.header("ETag") or page.etag


def _changing(clerk: Browser, desk_id: int, form: dict[str, str], began: float) -> Script:
    """Somebody takes a number now and then: all who watch get the day anew."""
    moment = began + CHANGES / 2
    while moment < began + SECONDS:
        yield Pause(moment, leaves=True)
        yield clerk.post(f"/{SLUG}/staff/ticket/{desk_id}", form)
        moment += CHANGES


def _worked(processes: Sequence[int]) -> float:
    """Seconds of processor time that these processes have used."""
    fields = [Path(f"/proc/{id}/stat").read_text().rpartition(")")[2].split() for id in processes]
    return sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf("SC_CLK_TCK")
