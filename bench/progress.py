"""The progress bar: one line on the standard error stream that is written over again and again."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field

WIDTH = 24


@dataclass
class Progress:
    """Knows how many steps there are; where no terminal reads, it writes a line when the matter changes."""

    steps: int
    done: int = 0
    began: float = field(default_factory=time.monotonic)
    matter: str = ""

    def step(self, words: str) -> None:
        """Says what is being done now."""
        self.done = min(self.done + 1, self.steps)
        if sys.stderr.isatty():
            self._draw(words)
        elif words.partition(",")[0] != self.matter:
            self.matter = words.partition(",")[0]
            print(f"[{self._passed()}] {self.matter}", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leaves the line empty."""
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def _draw(self, words: str) -> None:
        full = (self.done - 1) * WIDTH // max(self.steps, 1)
        bar = "█" * full + "░" * (WIDTH - full)
        percent = (self.done - 1) * 100 // max(self.steps, 1)
        print(f"\r\033[K{bar} {percent:3d} %  {self._passed()}  {words}"[:150], end="", file=sys.stderr, flush=True)

    def _passed(self) -> str:
        seconds = int(time.monotonic() - self.began)
        return f"{seconds // 60}:{seconds % 60:02d}"
