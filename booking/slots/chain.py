"""Several stops one after the other: where the first may begin so that all the others follow, and the plan from there.

A stop takes so many ticks and may begin at the ticks of a mask, one for each place that serves it. Between the end of a
stop and the start of the next lies a gap, from the least to the most ticks that the two places allow. All starts are
found at once, by shifts and ANDs from the last stop backwards.

Pure: no database, no clock, no Flask. A mask is one integer, bit i is a tick of five minutes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Gaps = Mapping[tuple[int, int], tuple[int, int]]  # (place, next place) → the least and the most ticks between


@dataclass(frozen=True)
class Stop:
    """How many ticks it takes, and for each place at which of them it may begin there."""

    length: int
    starts: Mapping[int, int]


def beginnings(stops: Sequence[Stop], gaps: Gaps) -> dict[int, int]:
    """For each place the ticks at which the first stop can begin there so that all the others follow."""
    found = dict(stops[-1].starts)
    for stop in reversed(stops[:-1]):
        found = {place: mask and mask & _before(found, place, stop.length, gaps) for place, mask in stop.starts.items()}
    return found


def soonest_over(stops: Sequence[Stop], gaps: Gaps, place: int, start: int) -> tuple[tuple[int, int], ...] | None:
    """The plan that begins at this place and tick (a bit) and is over first: (place, tick) of each stop.

    Among plans that end at the same time one in which earlier stops begin late: so nobody waits early for nothing.
    None where there is no plan.
    """
    reached = [{place: stops[0].starts.get(place, 0) & 1 << start}]
    for stop, following in pairwise(stops):
        reached.append(
            {there: mask & _after(reached[-1], there, stop.length, gaps) for there, mask in following.starts.items()}
        )
    ends = [((mask & -mask).bit_length() - 1, there) for there, mask in reached[-1].items() if mask]
    if not ends:
        return None
    tick, there = min(ends)
    plan = [(there, tick)]
    for stop, places in zip(reversed(stops[:-1]), reversed(reached[:-1]), strict=True):
        plan.append(_latest(places, stop.length, plan[-1], gaps))
    return tuple(reversed(plan))


def _before(following: Mapping[int, int], place: int, length: int, gaps: Gaps) -> int:
    """The starts of a stop at this place after which one of the following stops can begin."""
    found = 0
    for there, mask in following.items():
        gap = gaps.get((place, there))
        if gap and mask:
            found |= _spread(mask, gap[1] - gap[0] + 1) >> (length + gap[0])
    return found


def _spread(mask: int, count: int) -> int:
    """The bits that are set, or have a set bit less than `count` bits above them. By doubling: log2(count) shifts."""
    known = 1
    while known < count:
        step = min(known, count - known)
        mask |= mask >> step
        known += step
    return mask


def _after(reached: Mapping[int, int], there: int, length: int, gaps: Gaps) -> int:
    """The ticks at which a stop can begin there when the one before it began at one of those reached."""
    found = 0
    for place, mask in reached.items():
        gap = gaps.get((place, there))
        if gap and mask:
            widest = mask << (length + gap[1])
            found |= _spread(widest, gap[1] - gap[0] + 1)
    return found


def _latest(places: Mapping[int, int], length: int, following: tuple[int, int], gaps: Gaps) -> tuple[int, int]:
    """Of the reached starts from which the following one can be reached, the latest; among equals the first place."""
    there, tick = following
    found = []
    for place, mask in places.items():
        least, most = gaps.get((place, there), (0, -1))
        first, end = tick - length - most, tick - length - least + 1
        inside = mask & ((1 << max(end, 0)) - 1) >> max(first, 0) << max(first, 0)
        if inside:
            found.append((inside.bit_length() - 1, -place))
    latest, minus_place = max(found)
    return -minus_place, latest
