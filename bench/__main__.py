"""`make bench`: builds the databases, measures everything in one run, and says which bars fall short."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from bench import bare, changing, city, feeding, mails, munich, paris, reading, report, watching
from bench.databases import Databases
from bench.load import Broken
from bench.measure import Run
from bench.postgresql import running_cluster
from bench.progress import Progress
from bench.servers import LOG
from bench.town import Plan
from booking.launch import CannotRun

PLACE = Path("/var/tmp")  # on the disk, where /tmp may be in memory
PLANS = {
    "one": Plan(),
    "history": Plan(days_back=300),
    "offices": Plan(offices=10, counters=100),
    "both": Plan(offices=10, counters=100, days_back=300),
    "feed": Plan(days_back=0, days_ahead=45, horizon=90),
    "mails": Plan(counters=30),  # more than ten thousand to write to
    "munich": Plan(109, 1000, services=287, common=20, days_back=0, days_ahead=42, horizon=60),
}
ROUNDS, QUICK_ROUNDS, ROUNDS_AGAIN = 5, 2, 3  # the last on SQLite
COPIES = ("book", "busy", "last")  # of "one", for figures that change it


@dataclass(frozen=True)
class Part:
    """Some figures that are measured together."""

    name: str
    words: str
    measure: Callable[[Run], None]
    databases: tuple[str, ...]
    steps: tuple[int, int] = (1, 0)  # of the progress bar: for each round, and besides
    is_long: bool = False  # left out of a quick run that does not name it


PARTS = (
    Part("noise", "the bare handlers, and how much the same thing differs from itself", reading.noise, (), (8, 0)),
    Part("times", "free times as JSON: one client, 16 clients, not modified", reading.times, ("one",), (3, 0)),
    Part("page", "the page of times", reading.page, ("one",)),
    Part("agenda", "a clerk's agenda of 300 appointments", reading.agenda, ("one",)),
    Part("agendas", "fifty agendas that stay open all day", watching.agendas, ("busy",), is_long=True),
    Part("growth", "free times with more history and offices", reading.growth, ("one", "both"), (3, 0)),
    Part("busy", "free times while 50 bookings a second land", changing.busy, ("one", "busy")),
    Part("book", "the confirming POST: one client, 16 at one office, at ten", changing.book, ("book", "both"), (3, 0)),
    Part("last", "200 clients and one last place", changing.last, ("last",)),
    Part("mails", "due e-mails leave one worker", mails.mails, ("mails",)),
    Part("feeds", "calendar feeds: unchanged, first, after a change, beside others", feeding.feeds, ("feed",), (5, 0)),
    Part("first", "the first free time over 109 offices", munich.first_free, ("munich",), (3, 0)),
    Part("visit", "a visit of three services over two offices", munich.visit, ("munich",)),
    Part("memory", "the memory of a worker at Munich's size", munich.worker_memory, ("munich",), (0, 1)),
    Part("city", "a big city: its import, and its pages", city.city, (), (len(city.PAGES), 1), is_long=True),
    Part("paris", "a Monday release as in Paris, at one tenth", paris.replay, ("paris",), (0, 2)),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, also when bars fall short; 1 when something broke."""
    is_quick = bool(os.environ.get("QUICK"))
    wanted = _chosen(arguments, is_quick)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, _stop)
    print(_plan(wanted, is_quick), end="\n\n", flush=True)
    began = time.monotonic()
    try:
        with _folder() as folder:
            runs = _measured(folder, wanted, is_quick)
            said_by_servers = _last_lines(folder / LOG)
    except KeyboardInterrupt:
        print("\nStopped; nothing was written.", file=sys.stderr)
        return 130
    figures = [figure for run in runs for figure in run.figures]
    if figures:
        print(report.table(figures), report.summary(figures), sep="\n\n")
        report.write(figures)
        print("\nWritten: bench/latest.json and the chart bench/latest.svg.")
    print(f"It took {(time.monotonic() - began) / 60:.1f} minutes.")
    return _failed([words for run in runs for words in run.broken], said_by_servers)


def _failed(broken: Sequence[str], said_by_servers: Sequence[str]) -> int:
    """Says what broke and what the servers wrote about it; the exit code."""
    for words in broken:
        print(f"\nSomething broke. {words}", file=sys.stderr)
    if broken and said_by_servers:
        print("\nThe servers wrote last:", *said_by_servers, sep="\n  ", file=sys.stderr)
    return 1 if broken else 0


def _chosen(arguments: Sequence[str] | None, is_quick: bool) -> list[Part]:
    names = [f"  {part.name:8} {part.words}" for part in PARTS]
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures Balie as shipped against bare handlers, on PostgreSQL and SQLite.",
        epilog="Figures:\n"
        + "\n".join(names)
        + "\n\nQUICK=1 in the environment: two rounds, PostgreSQL only, and what takes long only if it is named.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("only", nargs="*", metavar="FIGURE", help="measure only these; all where none is named")
    only: list[str] = parser.parse_args(arguments).only
    unknown = set(only) - {part.name for part in PARTS}
    if unknown:
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    return [part for part in PARTS if part.name in only or not (only or (is_quick and part.is_long))]


def _plan(wanted: Sequence[Part], is_quick: bool) -> str:
    everything = set(wanted) >= {part for part in PARTS if not (is_quick and part.is_long)}
    lasts = "under five minutes" if is_quick else "about half an hour"
    lines = [f"Balie measures itself: {', '.join(part.name for part in wanted)}."]
    lines += [f"This takes {lasts}." if everything else "This takes a few minutes at most, and eleven more for paris."]
    return "\n".join(lines)


def _measured(folder: Path, wanted: Sequence[Part], is_quick: bool) -> list[Run]:
    """PostgreSQL first, then, where there is time, the same on SQLite in fewer rounds and without the release."""
    rounds, again = (QUICK_ROUNDS, 0) if is_quick else (ROUNDS, ROUNDS_AGAIN)
    second = [part for part in wanted if part.name != "paris" and again]
    progress = Progress(_steps(wanted, rounds, is_quick) + _steps(second, again, is_quick))
    runs: list[Run] = []
    try:
        with running_cluster(folder) as cluster:
            runs.append(Run(Databases(folder, cluster), rounds, is_quick, progress))
            _measure_on(runs[-1], wanted)
        if second:
            runs.append(Run(Databases(folder, None), again, is_quick, progress))
            _measure_on(runs[-1], second)
    finally:
        progress.end()
    return runs


def _measure_on(run: Run, parts: Sequence[Part]) -> None:
    needed = _databases(parts, run.is_quick)
    for name in needed:
        run.progress.step(f"{run.databases.engine}: making the database {name!r}")
        if name == bare.NAME:
            run.databases.build_bare()
        elif name in COPIES:
            run.databases.copy(name, of="one")
        else:
            run.databases.build(name, PLANS.get(name) or paris.release(run.is_quick))
    with run.running:
        for part in parts:
            try:
                part.measure(run)
            except (Broken, CannotRun) as error:
                run.broken.append(f"{run.databases.engine}, {part.words}: {error}")


def _databases(parts: Sequence[Part], is_quick: bool) -> list[str]:
    """What these figures need: small ones first, each after what it is copied from.

    A quick run grows both ways at once only.
    """
    asked = {name for part in parts for name in part.databases} | {bare.NAME}
    asked |= {"one"} if asked & set(COPIES) else set()
    asked |= {"history", "offices"} if not is_quick and any(part.name == "growth" for part in parts) else set()
    small = (bare.NAME, "one", *COPIES, "paris")
    return [name for name in dict.fromkeys((*small, *PLANS)) if name in asked]


def _steps(parts: Sequence[Part], rounds: int, is_quick: bool) -> int:
    built = len(_databases(parts, is_quick)) if parts else 0
    return built + sum(part.steps[0] * rounds + part.steps[1] for part in parts)


def _last_lines(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-30:] if log.exists() else []


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder on the disk for all that a run makes; it is gone afterwards."""
    place = PLACE if PLACE.is_dir() else Path(tempfile.gettempdir())
    folder = Path(tempfile.mkdtemp(prefix="balie-bench-", dir=place))
    folder.chmod(0o711)  # PostgreSQL runs as another user
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
