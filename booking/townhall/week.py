"""Hours of a day as people write them: "9-12, 13:30-16"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from booking.spoken import wall_clock
from booking.townhall.models import MINUTES_A_DAY

_CLOCK = r"(\d{1,2})(?:[:.hu](\d{2})?)?"
_STRETCH = re.compile(rf"{_CLOCK}\s*[-–—]\s*{_CLOCK}")
_BETWEEN = re.compile(r"[\s,;/]*")


class Unreadable(ValueError):
    """The text is no list of hours, or they overlap, or are no multiples of five minutes."""


def stretches_of(text: str) -> list[tuple[int, int]]:
    """The stretches in minutes after midnight, earliest first; nothing is closed. Raises Unreadable."""
    found, at = [], 0
    text = text.strip().lower()
    while at < len(text):
        match = _STRETCH.match(text, at)
        if match is None:
            raise Unreadable(text)
        opens, closes = _minutes(match[1], match[2]), _minutes(match[3], match[4])
        if not opens < closes <= MINUTES_A_DAY or opens % 5 or closes % 5:
            raise Unreadable(text)
        found.append((opens, closes))
        at = match.end()
        gap = _BETWEEN.match(text, at)
        at = gap.end() if gap else at
    found.sort()
    if any(second[0] < first[1] for first, second in pairwise(found)):
        raise Unreadable(text)
    return found


def written(stretches: Iterable[Sequence[int]]) -> str:
    """The same the other way round: "09:00-12:00, 13:30-16:00"."""
    return ", ".join(f"{wall_clock(opens)}-{wall_clock(closes)}" for opens, closes in stretches)


def _minutes(hours: str, minutes: str | None) -> int:
    return int(hours) * 60 + int(minutes or 0) if int(minutes or 0) < 60 else -1
