"""Why a time is offered or not, what-if, and the release of hours in waves: said by the code that decides."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from booking.appointments.booking import cancel
from booking.appointments.holds import hold
from booking.appointments.models import Appointment
from booking.appointments.offers import Demand, next_release, offer
from booking.appointments.timelines import office_lines
from booking.db import begin_write, db
from booking.planning.explain import Rule, Why, explain
from booking.planning.whatif import what_if
from booking.slots.clock import moment_of
from booking.slots.timeline import between
from booking.staff.audit import citizen_of
from booking.townhall.hours import Horizon
from booking.townhall.models import Closure, Desk, Municipality, Office, Service
from booking.townhall.plans import NewHours
from booking.townhall.releases import Wave, parts, unreleased
from tests.conftest import Clock
from tests.factories import Town
from tests.pages import Visitor
from tests.test_admin import ADMIN, only_form
from tests.test_staff_pages import appointment, signed_in

pytestmark = pytest.mark.townhall

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
BRUSSELS = ZoneInfo("Europe/Brussels")
FRIDAY = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)  # ten o'clock
ZONE_HORIZON = Horizon(date(2026, 11, 23), 60, BRUSSELS)


def asked(town: Town, at: datetime, now: datetime = NOW, people: int = 1) -> tuple[bool, Rule, list[Why]]:
    office, service = db.session.get_one(Office, town.office_id), db.session.get_one(Service, town.passport_id)
    found = explain(office_lines(office, now), Demand(service, people), at, now)
    return found.is_offered, found.rule, [why for _counter, why in found.counters]


def test_each_reason_is_named(context: Flask, town: Town) -> None:
    day = FRIDAY.replace(hour=0)
    assert asked(town, FRIDAY) == (True, Rule.FINE, [Why.FREE, Why.FREE])
    assert asked(town, day + timedelta(hours=11, minutes=30)) == (False, Rule.FINE, [Why.HOURS] * 2)  # lunch
    assert asked(town, day + timedelta(hours=10, minutes=50)) == (False, Rule.FINE, [Why.TOO_LONG] * 2)
    assert asked(town, FRIDAY + timedelta(minutes=2))[1] == Rule.NO_TICK
    assert asked(town, NOW - timedelta(hours=1))[1] == Rule.PAST
    assert asked(town, NOW + timedelta(hours=1))[1] == Rule.NOTICE
    assert asked(town, NOW + timedelta(days=61))[1] == Rule.TOO_FAR
    desk = db.session.get_one(Desk, town.desk_id)
    desk.step_minutes, desk.buffer_minutes = 30, 10
    db.session.commit()
    assert asked(town, FRIDAY + timedelta(minutes=5)) == (False, Rule.FINE, [Why.GRID] * 2)


def test_who_has_the_time_is_told_apart(app: Flask, town: Town) -> None:
    id = appointment(app, town, start=FRIDAY)  # 25 minutes
    with app.app_context():
        db.session.get_one(Desk, town.desk_id).buffer_minutes = 10
        db.session.get_one(Municipality, town.municipality_id).freed_minutes = 240
        db.session.commit()
        reasons = [asked(town, FRIDAY + timedelta(minutes=minutes))[2] for minutes in (0, -15, -20)]
        assert [set(found) for found in reasons] == [
            {Why.BOOKED, Why.FREE},
            {Why.BUFFER, Why.FREE},
            {Why.BUFFER, Why.FREE},
        ]
        db.session.rollback()
        begin_write()
        office, service = db.session.get_one(Office, town.office_id), db.session.get_one(Service, town.passport_id)
        hold(office, Demand(service), FRIDAY + timedelta(hours=1), NOW)
        cancel(db.session.get_one(Appointment, id), citizen_of(town.municipality_id), NOW)
        db.session.add(
            Closure(
                office_id=office.id,
                starts_at=FRIDAY + timedelta(days=3),
                ends_at=FRIDAY + timedelta(days=4),
                reasons={},
            )
        )
        db.session.commit()
        assert Why.HELD in asked(town, FRIDAY + timedelta(hours=1))[2]
        assert asked(town, FRIDAY + timedelta(days=3))[2] == [Why.CLOSURE] * 2


def test_the_words_and_the_offer_never_disagree(app: Flask, town: Town) -> None:
    """For every tick of two weeks, for short and long services: offered exactly where a counter is free and no rule
    stands against it."""
    for start in (FRIDAY, FRIDAY + timedelta(hours=1), FRIDAY - timedelta(days=2)):
        appointment(app, town, start=start)
    with app.app_context():
        desk = db.session.get_one(Desk, town.desk_id)
        desk.buffer_minutes, desk.step_minutes = 5, 10
        desk.releases = [{"percent": 40, "days": 10, "at": 480}, {"percent": 30, "days": 1, "at": 480}]
        desk.walk_in_percents = {"10": 50}
        db.session.commit()
        office = db.session.get_one(Office, town.office_id)
        lines = office_lines(office, NOW)
        for service_id in (town.passport_id, town.wedding_id):
            demand = Demand(db.session.get_one(Service, service_id))
            offered = offer(lines, demand, NOW)
            for tick in range(lines.horizon.base, lines.horizon.base + 14 * 288):
                verdict = explain(lines, demand, moment_of(tick), NOW)
                free = verdict.rule == Rule.FINE and any(why == Why.FREE for _id, why in verdict.counters)
                assert verdict.is_offered == free == offered.has(moment_of(tick)), moment_of(tick)


def test_the_page_explains_in_words(app: Flask, town: Town, management: None) -> None:
    appointment(app, town, start=FRIDAY)

    page = signed_in(app, "mia").get(f"{ADMIN}/why?service=passport&on=2026-11-27&at=11:55&people=2")

    assert "This time is not offered to citizens." in page.text
    assert "Counter 1: it closes before the visit would be over" in page.text


def test_a_what_if_says_what_would_change_and_saves_nothing(app: Flask, town: Town, management: None) -> None:
    appointment(app, town, start=FRIDAY)
    mia = signed_in(app, "mia")
    form = only_form(mia.get(f"{ADMIN}/hours/new?counter={town.counter_ids[0]}"))
    closed = {**form.values, **{f"week-{day}": "" for day in range(7)}, "counter": list(town.counter_ids)}

    page = mia.post(f"{ADMIN}/hours/new", {**closed, "what_if": "yes"})

    assert "Nothing is saved." in page.text and "It would hit 1 appointment." in page.text
    assert "Passport (en)" in page.text
    with app.app_context():
        office, service = db.session.get_one(Office, town.office_id), db.session.get_one(Service, town.passport_id)
        assert offer(office_lines(office, NOW), Demand(service), NOW).has(FRIDAY + timedelta(hours=1))


def test_a_what_if_counts_the_same_starts_as_the_offer(context: Flask, town: Town) -> None:
    service = db.session.get_one(Service, town.passport_id)
    plan = NewHours(town.counter_ids, ((4, 540, 600),), date(2026, 11, 24))
    db.session.rollback()
    begin_write()

    found = what_if(plan, [service], NOW)
    db.session.rollback()

    (passport,) = found.services
    assert sum(passport.then.starts[1:]) == 2 * 10  # two Fridays, 9:00 to 9:45 every five minutes
    assert passport.now.total > passport.then.total


@given(
    st.lists(
        st.tuples(st.integers(1, 50), st.integers(0, 40), st.integers(0, 287)), min_size=1, max_size=2, unique=True
    ),
    st.integers(1, 9),
    st.integers(0, 1439),
)
def test_waves_share_the_hours_out_and_release_them_in_time(
    rows: list[tuple[int, int, int]], counter_id: int, minutes: int
) -> None:
    """Each tick is in exactly one part, and released when its moment has come, by the rule read tick by tick."""
    now = datetime(2026, 11, 22, 23, tzinfo=UTC) + timedelta(minutes=minutes)
    waves = [Wave(percent, days, 5 * at) for percent, days, at in rows]
    opened = between(0, (ZONE_HORIZON.end - ZONE_HORIZON.base))

    found = parts(counter_id, opened, waves, ZONE_HORIZON)

    total = 0
    for part in found:
        assert not total & part.mask
        total |= part.mask
        for tick in range(0, 50 * 288, 97):
            if part.mask >> tick & 1:
                at = moment_of(ZONE_HORIZON.base + tick).astimezone(BRUSSELS)
                is_out = part.wave is not None and part.wave.opens_at(at.date(), ZONE_HORIZON) <= now
                assert bool(unreleased([part], ZONE_HORIZON, now) >> tick & 1) != is_out
    assert total == opened
    for wave, part in ((part.wave, part) for part in found if part.wave):
        share = 100 * part.mask.bit_count() / opened.bit_count()
        assert abs(share - wave.percent) < 2


def test_a_release_is_seen_the_minute_it_comes(app: Flask, town: Town, clock: Clock) -> None:
    """Kept memory must not outlive the next release: citizens see it, and the page said when."""
    with app.app_context():
        desk = db.session.get_one(Desk, town.desk_id)
        desk.releases = [{"percent": 100, "days": 2, "at": 8 * 60}]
        db.session.commit()
    clock.now = datetime(
        2026, 11, 23, 18, 0, tzinfo=UTC
    )  # Monday evening: Wednesday comes on Monday at 8, Thursday tomorrow
    citizen = Visitor(app)

    before = citizen.get("/testdorp/en/service/passport")
    clock.now = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)  # Tuesday, eight o'clock
    after = citizen.get("/testdorp/en/service/passport")

    assert "Wednesday 25 November" in before.text and "Thursday 26 November" not in before.text
    assert "Thursday 26 November" in after.text and "Friday 27 November" not in after.text


def test_nothing_released_yet_says_when_it_will_be(app: Flask, town: Town, clock: Clock) -> None:
    with app.app_context():
        db.session.get_one(Desk, town.desk_id).releases = [{"percent": 100, "days": 0, "at": 10 * 60}]
        db.session.commit()
        office, service = db.session.get_one(Office, town.office_id), db.session.get_one(Service, town.passport_id)
        assert next_release(office_lines(office, NOW), Demand(service), NOW) == datetime(2026, 11, 23, 9, 0, tzinfo=UTC)

    page = Visitor(app).get("/testdorp/en/service/passport")

    assert "More times are released on Monday 23 November, 10:00." in page.text


def test_staff_give_what_is_not_released(context: Flask, town: Town) -> None:
    db.session.get_one(Desk, town.desk_id).releases = [{"percent": 100, "days": 0, "at": 0}]
    db.session.commit()
    office, service = db.session.get_one(Office, town.office_id), db.session.get_one(Service, town.passport_id)
    lines = office_lines(office, NOW)

    assert not offer(lines, Demand(service), NOW).has(FRIDAY)
    assert offer(lines.for_staff(), Demand(service), NOW).has(FRIDAY)


def test_waves_are_set_on_the_page_of_the_desk(app: Flask, town: Town, management: None) -> None:
    mia = signed_in(app, "mia")
    path = f"{ADMIN}/desks/{town.desk_id}"
    form = next(one for one in mia.get(path).forms if "key" in one.values)
    wave = {"releases-0-percent": "60", "releases-0-days": "28", "releases-0-at": "08:00"}

    assert mia.post(path, {**form.values, **wave, "releases-1-percent": "60"}).status == 422
    assert mia.post(path, {**form.values, **wave, "releases-1-percent": "30", "releases-1-at": "08:00"}).status == 303

    with app.app_context():
        assert db.session.get_one(Desk, town.desk_id).releases == [
            {"percent": 60, "days": 28, "at": 480},
            {"percent": 30, "days": 0, "at": 480},
        ]
