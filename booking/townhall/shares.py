"""Shares of capacity: what a desk keeps back of each hour for those who come without an appointment, as masks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from booking.slots.clock import TICK_MINUTES, moment_of, tick_of
from booking.slots.timeline import between
from booking.townhall.hours import Horizon

AN_HOUR = 60 // TICK_MINUTES


def kept_for_walk_ins(opening: Mapping[int, int], percents: Mapping[str, int], horizon: Horizon) -> dict[int, int]:
    """For each counter (its opening as a mask over the horizon) the ticks that nobody can book.

    Of each local hour whole counters are kept back first and the end of the hour at one more, so that long visits
    still fit at the others; hour by hour other counters have their turn.
    """
    kept = dict.fromkeys(opening, 0)
    tick = horizon.base
    while tick < horizon.end:
        local = moment_of(tick).astimezone(horizon.zone)
        next_hour = tick_of(local.replace(minute=0) + timedelta(hours=1))
        end = next_hour if tick < next_hour <= tick + AN_HOUR else tick + AN_HOUR
        percent = int(percents.get(str(local.hour), 0))
        if percent:
            hour = range(tick - horizon.base, end - horizon.base)
            _keep(kept, opening, hour, (percent, local.toordinal() + local.hour))
        tick = end
    return kept


def _keep(kept: dict[int, int], opening: Mapping[int, int], hour: range, share: tuple[int, int]) -> None:
    """Keeps so many percent of the hour's open ticks back, beginning with the counter whose turn it is."""
    percent, turn = share
    mask = between(hour.start, hour.stop)
    is_open = {id: mask & opened for id, opened in sorted(opening.items()) if mask & opened}
    left = sum(ticks.bit_count() for ticks in is_open.values()) * percent // 100
    ids = list(is_open)
    for id in ids[turn % len(ids) :] + ids[: turn % len(ids)] if ids else ():
        ticks = is_open[id]
        while ticks.bit_count() > left:
            ticks &= ticks - 1  # the earliest is given back
        kept[id] |= ticks
        left -= ticks.bit_count()
