"""What a desk keeps back for walk-ins: so many percent of each hour, and never offered to citizens."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from booking.appointments.holds import hold
from booking.appointments.limits import Holder
from booking.appointments.occupancy import SlotTaken
from booking.appointments.offers import Demand, offers, staff_offer
from booking.appointments.timelines import office_lines
from booking.db import db
from booking.slots.clock import moment_of
from booking.slots.timeline import ticks_in
from booking.townhall.hours import Horizon, WeeklyRule, opening
from booking.townhall.models import Desk, Office, Service
from booking.townhall.shares import kept_for_walk_ins
from tests.conftest import MONDAY
from tests.factories import Town

pytestmark = pytest.mark.counter

BRUSSELS = ZoneInfo("Europe/Brussels")
A_WEEK = Horizon(date(2026, 3, 27), 7, BRUSSELS)  # in it an hour is missing
OPEN = opening(tuple(WeeklyRule(day, 0, 24 * 60, date(2020, 1, 1)) for day in range(7)), (), 5, A_WEEK).open


@given(st.integers(1, 5), st.dictionaries(st.sampled_from([str(hour) for hour in range(24)]), st.integers(0, 100)))
def test_each_hour_keeps_its_share_and_no_more(counters: int, percents: dict[str, int]) -> None:
    kept = kept_for_walk_ins(dict.fromkeys(range(counters), OPEN), percents, A_WEEK)

    hours: dict[tuple[date, int], int] = {}
    for mask in kept.values():
        assert mask & ~OPEN == 0
        for tick in ticks_in(mask, A_WEEK.base):
            local = moment_of(tick).astimezone(BRUSSELS)
            hours[local.date(), local.hour] = hours.get((local.date(), local.hour), 0) + 1
    for day in A_WEEK.dates:
        for hour in range(24):
            is_missing = day == date(2026, 3, 29) and hour == 2
            wanted = 0 if is_missing else 12 * counters * percents.get(str(hour), 0) // 100
            assert hours.get((day, hour), 0) == wanted


def test_whole_counters_are_kept_back_first_and_take_turns() -> None:
    kept = kept_for_walk_ins(dict.fromkeys(range(4), OPEN), {"9": 25, "10": 25, "11": 25}, A_WEEK)

    def whose(hour: int) -> list[int]:
        at = (hour * 12) + 5
        return [id for id, mask in kept.items() if mask >> at & 1]

    assert [len(whose(hour)) for hour in (9, 10, 11)] == [1, 1, 1]
    assert len({whose(hour)[0] for hour in (9, 10, 11)}) == 3


def test_citizens_are_not_offered_what_is_kept_back_and_staff_only_where_they_may(app: Flask, town: Town) -> None:
    ten = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    with app.app_context():
        db.session.get_one(Desk, town.desk_id).walk_in_percents = {"10": 100}
        db.session.commit()
        office, demand = (
            db.session.get_one(Office, town.office_id),
            Demand(db.session.get_one(Service, town.passport_id)),
        )

        (offered,) = offers([office], demand, MONDAY)
        assert not offered.has(ten) and offered.has(ten + timedelta(hours=1))
        lines = office_lines(office, MONDAY)
        assert not staff_offer(lines, demand, MONDAY).has(ten)
        assert staff_offer(lines.beyond_quota(), demand, MONDAY).has(ten)
        with pytest.raises(SlotTaken):
            hold(office, demand, ten, MONDAY, Holder(is_staff=True))
        assert hold(office, demand, ten, MONDAY, Holder(is_staff=True, exceeds_quota=True)).starts_at == ten


def test_staff_need_no_notice(app: Flask, town: Town) -> None:
    with app.app_context():
        office, demand = (
            db.session.get_one(Office, town.office_id),
            Demand(db.session.get_one(Service, town.passport_id)),
        )
        (offered,) = offers([office], demand, MONDAY)

        soon = MONDAY + timedelta(minutes=5)
        assert not offered.has(soon)
        assert hold(office, demand, soon, MONDAY, Holder(is_staff=True)).starts_at == soon
