"""Slot arithmetic on integers, against the same done with sets of ticks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.slots.timeline import between, first_in, mask_of, room_around, starts, ticks_in

pytestmark = pytest.mark.time

BASE = 5_900_000  # a tick of the year 2026
Ticks = set[int]

lengths = st.integers(1, 4) | st.integers(5, 90)
stretches = st.lists(
    st.builds(lambda first, length: range(first, first + length), st.integers(-9, 99), lengths | st.just(-3))
)
masks = stretches.map(lambda found: {tick for one in found for tick in one if tick >= 0})


def integer(ticks: Ticks) -> int:
    return sum(1 << tick for tick in ticks)


def bits(mask: int) -> Ticks:
    return {bit for bit in range(mask.bit_length()) if mask >> bit & 1}


@given(stretches)
def test_a_mask_holds_the_ticks_of_its_stretches_from_the_base_on(given_stretches: list[range]) -> None:
    mask = mask_of((range(BASE + one.start, BASE + one.stop) for one in given_stretches), BASE)

    assert bits(mask) == {tick for one in given_stretches for tick in one if tick >= 0}


@given(masks, lengths)
def test_a_visit_starts_where_all_its_ticks_are_free(free: Ticks, length: int) -> None:
    found = starts(integer(free), length)

    assert bits(found) == {tick for tick in free if free.issuperset(range(tick, tick + length))}


@given(masks, lengths)
def test_what_is_not_taken_is_free_without_end(taken: Ticks, length: int) -> None:
    found = starts(~integer(taken), length)

    wanted = {tick for tick in range(500) if taken.isdisjoint(range(tick, tick + length))}
    assert bits(found & between(0, 500)) == wanted


@pytest.mark.parametrize("length", [0, -1])
def test_a_visit_takes_at_least_one_tick(length: int) -> None:
    with pytest.raises(ValueError, match="at least one tick"):
        starts(0b111, length)


@given(st.integers(-5, 5) | st.integers(6, 300), st.integers(-5, 300))
def test_between_holds_the_first_and_not_the_end(first: int, end: int) -> None:
    assert bits(between(first, end)) == set(range(max(first, 0), end))


@given(masks)
def test_ticks_come_back_in_their_order(ticks: Ticks) -> None:
    assert list(ticks_in(integer(ticks), BASE)) == [BASE + tick for tick in sorted(ticks)]


@given(masks)
def test_the_first_tick_is_the_earliest_or_none(ticks: Ticks) -> None:
    assert first_in(integer(ticks), BASE) == (BASE + min(ticks) if ticks else None)


@given(masks, st.integers(0, 5) | st.integers(6, 200), lengths)
def test_the_room_around_a_visit_is_what_stays_free_beside_it(free: Ticks, start: int, length: int) -> None:
    left = right = 0
    while start - left - 1 in free:
        left += 1
    while start + length + right in free:
        right += 1

    assert room_around(integer(free), start, length) == left + right
