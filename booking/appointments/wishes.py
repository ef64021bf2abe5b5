"""What citizens prefer of the free times: the morning, the hours after work, Saturday."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from booking.appointments.offers import Offer
from booking.slots.clock import DAY_MINUTES, open_ticks
from booking.slots.timeline import mask_of

NOON, WORK_ENDS = 12 * 60, 17 * 60  # minutes after midnight
SATURDAY = 5


class Wish(StrEnum):
    """The part of a day or week that suits somebody."""

    MORNING = "morning"
    EVENING = "evening"
    SATURDAY = "saturday"


def wished(offer: Offer, wish: Wish) -> Offer:
    """The offer with those starts only that the wish allows, by the wall clock of the office."""
    stretches = [stretch for day in offer.days for stretch in _stretches(day, wish, offer.zone)]
    return replace(offer, mask=offer.mask & mask_of(stretches, offer.base))


@lru_cache(maxsize=2048)
def _stretches(day: date, wish: Wish, zone: ZoneInfo) -> tuple[range, ...]:
    if wish is Wish.SATURDAY and day.weekday() != SATURDAY:
        return ()
    opens = WORK_ENDS if wish is Wish.EVENING else 0
    closes = NOON if wish is Wish.MORNING else DAY_MINUTES
    return tuple(open_ticks(day, opens, closes, zone))
