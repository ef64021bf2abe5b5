"""How a figure comes about: short bursts in turns, rounds, the median of the rounds and their spread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench.databases import Databases
from bench.load import Request, play, timed, until
from bench.progress import Progress
from bench.servers import Server, serving

CLIENTS = 16
TURNS = 4  # bursts of each side in a round
BURST = 0.25  # seconds


@dataclass(frozen=True)
class Figure:
    """One line of the result. A bar is missed only when even the best round misses it."""

    name: str
    rounds: Sequence[float]
    bar: float | None = None
    unit: str = "times"  # "times", "ms", "MB", "per second" or "count"
    at_least: bool = False  # the bar is a floor, not a ceiling
    database: str = "PostgreSQL"
    note: str = ""
    is_as_asked: bool = True  # the load that the figure speaks of was reached; else it cannot be good

    @property
    def value(self) -> float:
        return statistics.median(self.rounds)

    @property
    def spread(self) -> tuple[float, float]:
        return min(self.rounds), max(self.rounds)

    @property
    def ok(self) -> bool:
        lowest, highest = self.spread
        is_reached = self.bar is None or (highest >= self.bar if self.at_least else lowest <= self.bar)
        return is_reached and (self.is_as_asked or self.bar is None)

    @property
    def is_clear(self) -> bool:
        """Whether the middle round says the same as the best one."""
        return self.bar is None or self.ok == (self.value >= self.bar if self.at_least else self.value <= self.bar)


@dataclass
class Run:
    """One run on one engine: its databases, how many rounds, what was found so far."""

    databases: Databases
    rounds: int
    is_quick: bool
    progress: Progress
    figures: list[Figure] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)  # what must not happen and did, in words
    running: ExitStack = field(default_factory=ExitStack)
    _servers: dict[str, Server] = field(default_factory=dict)

    def server(self, name: str) -> Server:
        """The server on this database, which goes on running until the end: for what only reads."""
        if name not in self._servers:
            self._servers[name] = self.running.enter_context(serving(self.databases, name))[0]
        return self._servers[name]

    def each_round(self, words: str, one: Callable[[], float]) -> list[float]:
        """What each of the rounds gives."""
        found = []
        for number in range(1, self.rounds + 1):
            self.progress.step(f"{words}, round {number} of {self.rounds}")
            found.append(one())
        return found

    def add(self, name: str, rounds: Sequence[float], bar: float | None = None, **words: object) -> None:
        """Notes a figure; bars are for PostgreSQL."""
        is_bound = self.databases.cluster is not None
        given = Figure(name, tuple(rounds), bar if is_bound else None, database=self.databases.engine, **words)  # type: ignore[arg-type]
        self.figures.append(given)


Source = tuple[int, Request]  # a port, and what is asked there


def p50_ratio(ours: Source, bare: Source) -> float:
    """One round with one client: our median time to the other's, in short bursts in turns."""
    mine, other = list[float](), list[float]()
    for _ in range(TURNS):
        mine += latencies(ours)
        other += latencies(bare)
    return statistics.median(mine) / statistics.median(other)


def rate_ratio(ours: Source, bare: Source) -> float:
    """One round with sixteen clients: our answers a second to the other's, in short bursts in turns."""
    mine = other = 0.0
    for _ in range(TURNS):
        mine += rate(ours)
        other += rate(bare)
    return mine / other


def latencies(source: Source, seconds: float = BURST) -> list[float]:
    """The seconds of each answer to one client that asks again and again."""
    found: list[float] = []
    port, request = source
    play(port, [timed(until(time.perf_counter() + seconds, request), found)])
    return found


def rate(source: Source, clients: int = CLIENTS, seconds: float = BURST) -> float:
    """Answers a second to clients that ask again and again."""
    found: list[float] = []
    port, request = source
    began = time.perf_counter()
    play(port, [timed(until(began + seconds, request), found) for _ in range(clients)])
    return len(found) / (time.perf_counter() - began)


def warm(*sources: Source) -> None:
    """Asks long enough that every worker and thread of the servers has answered."""
    for source in sources:
        rate(source, seconds=0.5)


def percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]
