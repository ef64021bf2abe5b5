"""Mornings, hours after work and Saturdays, against the wall clock read minute by minute."""

from __future__ import annotations

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.appointments.offers import Offer
from booking.appointments.wishes import Wish, wished
from booking.slots.clock import day_start, moment_of
from booking.slots.timeline import ticks_in

pytestmark = pytest.mark.time

ZONES = ("Europe/Brussels", "America/Sao_Paulo", "Australia/Lord_Howe", "Africa/Cairo")


def suits(tick: int, wish: Wish, zone: ZoneInfo) -> bool:
    """What the wish means, said with the clock on the wall."""
    local = moment_of(tick).astimezone(zone)
    if wish is Wish.SATURDAY:
        return local.strftime("%A") == "Saturday"
    return local.hour < 12 if wish is Wish.MORNING else local.hour >= 17


@given(
    st.sampled_from(ZONES),
    st.dates(date(2026, 1, 1), date(2027, 12, 1)),
    st.sampled_from(Wish),
    st.integers(0, (1 << 8 * 288) - 1),
)
def test_what_is_left_is_what_suits(name: str, day: date, wish: Wish, mask: int) -> None:
    zone = ZoneInfo(name)
    offer = Offer(1, zone, day_start(day, zone), mask)

    left = wished(offer, wish)

    ticks = list(ticks_in(mask, offer.base))
    assert list(ticks_in(left.mask, offer.base)) == [tick for tick in ticks if suits(tick, wish, zone)]


def test_a_clock_that_is_changed_moves_no_morning() -> None:
    """On the last Sunday of October the clock in Brussels shows 02:30 twice: both are in the morning."""
    zone = ZoneInfo("Europe/Brussels")
    base = day_start(date(2026, 10, 25), zone)
    length = day_start(date(2026, 10, 25) + timedelta(days=1), zone) - base

    left = wished(Offer(1, zone, base, (1 << length) - 1), Wish.MORNING)

    assert left.mask.bit_count() == 13 * 12
