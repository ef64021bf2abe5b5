"""When time is released to citizens: a desk's waves, each a part of its hours so many days ahead at a time of the day.

Which hours belong to which wave is fixed by the rule and the calendar alone: a mask of ticks for each counter and wave.
What no wave has is never offered online; staff may give all of it at any moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from booking.slots.clock import DAY_MINUTES, day_start, moment_of, tick_of
from booking.slots.timeline import between
from booking.townhall.hours import Horizon

GOLDEN = 0.6180339887498949  # steps of this size fill a circle evenly, however many there are


@dataclass(frozen=True)
class Wave:
    """This part of the hours is released so many days ahead, at `at` minutes after midnight of the wall clock."""

    percent: int
    days: int
    at: int

    def opens_at(self, day: date, horizon: Horizon) -> datetime:
        """When the hours of this local day are released."""
        clock = time(*divmod(self.at, 60))
        return datetime.combine(day - timedelta(days=self.days), clock, horizon.zone)

    def last_day(self, now: datetime, horizon: Horizon) -> date:
        """The last local day whose hours are released."""
        today = now.astimezone(horizon.zone).date()
        farthest = today + timedelta(days=self.days)
        return farthest if self.opens_at(farthest, horizon) <= now else farthest - timedelta(days=1)


@dataclass(frozen=True)
class Part:
    """The ticks of one counter that belong to a wave; those of no wave are never released."""

    wave: Wave | None
    mask: int


def waves_of(rows: Iterable[Mapping[str, Any]]) -> tuple[Wave, ...]:
    """The waves of a desk as they stand in its row."""
    return tuple(Wave(int(row["percent"]), int(row["days"]), int(row["at"])) for row in rows)


def parts(counter_id: int, opened: int, waves: Sequence[Wave], horizon: Horizon) -> tuple[Part, ...]:
    """The counter's open ticks, hour by hour given to a wave or to none, in the proportions of their percents."""
    masks = [0] * (len(waves) + 1)
    tick = horizon.base
    while tick < horizon.end:
        local = moment_of(tick).astimezone(horizon.zone)
        next_hour = tick_of(local.replace(minute=0, second=0) + timedelta(hours=1))
        end = min(next_hour if next_hour > tick else tick + 1, horizon.end)
        hour = between(tick - horizon.base, end - horizon.base) & opened
        if hour:
            turn = (local.toordinal() * DAY_MINUTES // 60 + local.hour + 7 * counter_id) * GOLDEN % 1
            masks[_wave_at(turn * 100, waves)] |= hour
        tick = end
    return tuple(Part(wave, mask) for wave, mask in zip([*waves, None], masks, strict=True) if mask)


def unreleased(given: Iterable[Part], horizon: Horizon, now: datetime) -> int:
    """The ticks that citizens cannot book yet, or never."""
    mask = 0
    for part in given:
        if part.wave is None:
            mask |= part.mask
            continue
        first = day_start(part.wave.last_day(now, horizon) + timedelta(days=1), horizon.zone) - horizon.base
        mask |= part.mask >> first << first if first > 0 else part.mask
    return mask


def next_release(given: Iterable[Part], horizon: Horizon, now: datetime) -> datetime | None:
    """The next moment at which more is released; None where nothing waits."""
    moments = []
    for part in given:
        if part.wave is None or not part.mask & unreleased([part], horizon, now):
            continue
        day = part.wave.last_day(now, horizon) + timedelta(days=1)
        while day < horizon.first_day + timedelta(days=horizon.days):
            first, end = (day_start(one, horizon.zone) - horizon.base for one in (day, day + timedelta(days=1)))
            if part.mask & between(first, end):
                moments.append(part.wave.opens_at(day, horizon))
                break
            day += timedelta(days=1)
    return min(moments, default=None)


def _wave_at(percent: float, waves: Sequence[Wave]) -> int:
    """The wave in whose share this percent lies; past all of them that of no wave."""
    reached = 0
    for n, wave in enumerate(waves):
        reached += wave.percent
        if percent < reached:
            return n
    return len(waves)
