"""Wall clock to ticks and back: the one place where a zone is turned into Unix time.

A tick is five minutes, an integer: Unix time // 300. A tick is open when the local wall clock at its start lies in
the hours of that local date. So a gap in spring holds no tick, and a repeated hour in autumn is served twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

TICK = 300  # seconds
TICK_MINUTES = 5
DAY_MINUTES = 24 * 60
_A_DAY_AND_MORE = 27 * 3600  # no zone stretches a day beyond this


def tick_of(moment: datetime) -> int:
    """The tick that holds this moment."""
    return int(moment.timestamp()) // TICK


def tick_from(moment: datetime) -> int:
    """The first tick that begins at or after this moment."""
    return tick_of(moment.astimezone(UTC) - timedelta.resolution) + 1


def moment_of(tick: int) -> datetime:
    """When the tick begins, in UTC."""
    return datetime.fromtimestamp(tick * TICK, UTC)


@lru_cache(maxsize=4096)
def day_start(day: date, zone: ZoneInfo) -> int:
    """The first tick whose local date is `day` (midnight, or what the clock shows first where midnight is skipped)."""
    guess = datetime.combine(day, time(), zone).astimezone(UTC)
    tick = tick_of(guess) - 3 * 3600 // TICK
    while moment_of(tick).astimezone(zone).date() < day:
        tick += 1
    return tick


def open_ticks(day: date, opens: int, closes: int, zone: ZoneInfo) -> Iterator[range]:
    """The stretches of ticks in which the local wall clock of `day` lies in [opens, closes), minutes after midnight."""
    midnight, next_midnight = (datetime.combine(d, time(), zone) for d in (day, day + timedelta(days=1)))
    if _offsets(midnight) == _offsets(next_midnight) and len(_offsets(midnight)) == 1:
        first = tick_of(midnight)
        yield range(first + opens // TICK_MINUTES, first + closes // TICK_MINUTES)
        return
    yield from _open_ticks_of_an_odd_day(day, opens, closes, zone)


def _offsets(midnight: datetime) -> set[timedelta | None]:
    return {midnight.utcoffset(), midnight.replace(fold=1).utcoffset()}


def _open_ticks_of_an_odd_day(day: date, opens: int, closes: int, zone: ZoneInfo) -> Iterator[range]:
    """On a day when the clock is changed, every tick is asked for its wall clock."""
    first = day_start(day, zone)
    began = None
    for tick in range(first, first + _A_DAY_AND_MORE // TICK + 1):
        local = moment_of(tick).astimezone(zone)
        is_open = local.date() == day and opens <= local.hour * 60 + local.minute < closes
        if is_open and began is None:
            began = tick
        if not is_open and began is not None:
            yield range(began, tick)
            began = None


def grid_mask(stretch: range, step_minutes: int, zone: ZoneInfo) -> int:
    """The ticks of the stretch (bit 0 is its first) whose wall clock stands on the grid of `step_minutes`."""
    if not stretch:
        return 0
    first, last = _minute(stretch[0], zone), _minute(stretch[-1], zone)
    if last - first == TICK_MINUTES * (len(stretch) - 1):
        return _grid(len(stretch), -first % step_minutes // TICK_MINUTES, step_minutes // TICK_MINUTES)
    return sum(1 << i for i, tick in enumerate(stretch) if _minute(tick, zone) % step_minutes == 0)


def _minute(tick: int, zone: ZoneInfo) -> int:
    local = moment_of(tick).astimezone(zone)
    return local.hour * 60 + local.minute


@lru_cache(maxsize=4096)
def _grid(length: int, first: int, step: int) -> int:
    return sum(1 << i for i in range(first, length, step))
