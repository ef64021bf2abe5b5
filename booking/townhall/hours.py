"""Opening hours and closures of counters, as masks of ticks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property, lru_cache
from zoneinfo import ZoneInfo

from booking.slots.clock import day_start, grid_mask, open_ticks, tick_from, tick_of
from booking.slots.timeline import mask_of


@dataclass(frozen=True)
class WeeklyRule:
    """A counter serves on this weekday (0 is Monday) from `opens` to `closes`, minutes after midnight.

    It holds every n-th week, counted from the week of `from_on`.
    """

    weekday: int
    opens: int
    closes: int
    from_on: date
    until_on: date | None = None
    every_weeks: int = 1

    def holds_on(self, day: date) -> bool:
        begun = self.weekday == day.weekday() and self.from_on <= day
        return begun and (self.until_on is None or day <= self.until_on) and self._is_week_of(day)

    def _is_week_of(self, day: date) -> bool:
        return self.every_weeks == 1 or first_in_phase(self.from_on, self.every_weeks, day) == day


def first_in_phase(from_on: date, every_weeks: int, day: date) -> date:
    """The first date from `day` on that lies in an n-th week, counted from the week of `from_on`."""
    begins = day - timedelta(days=day.weekday())
    weeks = (begins - from_on + timedelta(days=from_on.weekday())).days // 7
    return day if weeks % every_weeks == 0 else begins + timedelta(weeks=-weeks % every_weeks)


@dataclass(frozen=True)
class Horizon:
    """The stretch of local days that a timeline covers."""

    first_day: date
    days: int
    zone: ZoneInfo

    @cached_property
    def base(self) -> int:
        """The tick of bit 0."""
        return day_start(self.first_day, self.zone)

    @cached_property
    def end(self) -> int:
        """The tick after the last."""
        return day_start(self.first_day + timedelta(days=self.days), self.zone)

    @property
    def dates(self) -> Iterable[date]:
        return (self.first_day + timedelta(days=n) for n in range(self.days))


@dataclass(frozen=True)
class Opening:
    """When a counter serves (`open`), and at which of those ticks a visit may begin (`grid`)."""

    open: int
    grid: int


@lru_cache(maxsize=8192)
def opening(
    rules: tuple[WeeklyRule, ...],
    closures: tuple[tuple[datetime, datetime], ...],
    step_minutes: int,
    horizon: Horizon,
) -> Opening:
    """The masks of one counter over the horizon: its weekly rules, less its closures (from, to)."""
    is_open = grid = 0
    base = horizon.base
    for day in horizon.dates:
        for rule in rules:
            if rule.holds_on(day):
                for stretch in open_ticks(day, rule.opens, rule.closes, horizon.zone):
                    is_open |= mask_of([stretch], base)
                    grid |= grid_mask(stretch, step_minutes, horizon.zone) << (stretch.start - base)
    end = horizon.end  # a closure for good would be an integer of a hundred megabytes
    closed = mask_of((range(tick_of(starts), min(tick_from(ends), end)) for starts, ends in closures), base)
    return Opening(is_open & ~closed, grid & ~closed)
