"""Several stops one after the other, against all combinations of starts and places, tried one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.slots.chain import Gaps, Stop, beginnings, soonest_over

pytestmark = pytest.mark.time

PLACES = (11, 12, 21)
Plan = tuple[tuple[int, int], ...]

masks = st.sets(st.integers(0, 30), max_size=5).map(lambda ticks: sum(1 << tick for tick in ticks))
stops = st.lists(
    st.builds(Stop, st.integers(1, 6), st.dictionaries(st.sampled_from(PLACES), masks, min_size=1)),
    min_size=1,
    max_size=4,
)
a_gap = st.tuples(st.integers(0, 4), st.integers(0, 9)).map(lambda gap: (gap[0], gap[0] + gap[1]))
all_gaps = st.dictionaries(st.tuples(st.sampled_from(PLACES), st.sampled_from(PLACES)), a_gap, max_size=9)


def plans(asked: Sequence[Stop], gaps: Gaps) -> Iterator[Plan]:
    """All there are: each stop at each place at each of its starts, where every gap is as it may be."""
    choices = [
        [(place, tick) for place, mask in stop.starts.items() for tick in range(40) if mask >> tick & 1]
        for stop in asked
    ]
    for plan in product(*choices):
        if all(
            (place, there) in gaps
            and gaps[place, there][0] <= following - (tick + stop.length) <= gaps[place, there][1]
            for stop, ((place, tick), (there, following)) in zip(asked, pairwise(plan), strict=False)
        ):
            yield plan


@given(stops, all_gaps)
def test_a_visit_begins_where_all_its_stops_follow(asked: list[Stop], gaps: Gaps) -> None:
    found = beginnings(asked, gaps)

    seen = {(place, tick) for place, mask in found.items() for tick in range(mask.bit_length()) if mask >> tick & 1}
    assert seen == {plan[0] for plan in plans(asked, gaps)}


@given(stops, all_gaps)
def test_the_plan_from_a_start_is_the_one_that_is_over_first(asked: list[Stop], gaps: Gaps) -> None:
    known = list(plans(asked, gaps))
    for place, tick in product(PLACES, range(31)):
        found = soonest_over(asked, gaps, place, tick)

        possible = [plan for plan in known if plan[0] == (place, tick)]
        assert (found in possible) if possible else (found is None)
        assert found is None or found[-1][1] == min(plan[-1][1] for plan in possible)


def test_who_can_begin_later_does_not_wait_earlier() -> None:
    registry, building, economy = Stop(3, {11: 1}), Stop(2, {12: 0b11110000}), Stop(1, {21: 1 << 10})
    gaps = {(11, 12): (1, 6), (12, 21): (1, 6)}

    assert soonest_over([registry, building, economy], gaps, 11, 0) == ((11, 0), (12, 7), (21, 10))
