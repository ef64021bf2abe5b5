"""A large calendar takes its time: other requests of the process have their turn while it is made."""

from __future__ import annotations

import time

LARGE = 1_000  # events; fewer are made in one go
STRETCH = 0.0005  # seconds of work
PAUSE = 0.0005  # seconds, after each stretch


class Pace:
    """Counts the time of a long piece of work, and lets go of the interpreter now and then.

    A thread that never waits keeps the interpreter for five milliseconds each time, and others need it several
    times for one answer.
    """

    def __init__(self, size: int) -> None:
        self._is_large = size > LARGE
        self._began = time.perf_counter()

    def step(self) -> None:
        """A small piece is done."""
        if self._is_large and time.perf_counter() - self._began > STRETCH:
            time.sleep(PAUSE)
            self._began = time.perf_counter()
