"""Time zones in calendar files, compared with the zone database hour by hour."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from flask import Flask
from icalendar import Component, Timezone

from booking.calendars import timezones
from booking.calendars.timezones import YEARS, in_zone, is_repeated, vtimezone
from tests.conftest import Clock
from tests.factories import make_town
from tests.test_feed import add, events, fetch, make_feed

pytestmark = pytest.mark.calendars

ZONES = ["Europe/Brussels", "Europe/Berlin", "Europe/Lisbon", "Europe/Dublin", "America/St_Johns", "UTC"]
TEN_YEARS = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC))


class ReadBack:
    """What a client makes of a VTIMEZONE: the last onset before a local time says the offset (RFC 5545 3.6.5)."""

    def __init__(self, block: Timezone) -> None:
        read = Component.from_ical(block.to_ical())
        self.onsets = sorted(pair for half in read.subcomponents for pair in self.onsets_of(half))
        self.moments = [onset for onset, _ in self.onsets]

    @staticmethod
    def onsets_of(half: Component) -> list[tuple[datetime, timedelta]]:
        first, offset = half["dtstart"].dt, half["tzoffsetto"].td
        if "rrule" not in half:
            return [(first, offset)]
        rule = rrulestr(half["rrule"].to_ical().decode(), dtstart=first)
        return [(onset, offset) for onset in rule.between(first, first.replace(year=2040), inc=True)]

    def utc(self, local: datetime) -> datetime:
        offset = self.onsets[bisect_right(self.moments, local) - 1][1]
        return (local - offset).replace(tzinfo=UTC)


def steps(minutes: int) -> list[datetime]:
    first, last = TEN_YEARS
    step = timedelta(minutes=minutes)
    return [first + step * n for n in range((last - first) // step)]


def ticks_around_changes(zone: str) -> list[datetime]:
    """Every five minutes of the days on which the clock is changed, and of those before and after."""
    info = ZoneInfo(zone)
    days = [day for day in steps(24 * 60) if day.astimezone(info).utcoffset() != next_day(day, info).utcoffset()]
    return [day + timedelta(minutes=5 * n) for day in days for n in range(-288, 2 * 288)]


def next_day(day: datetime, info: ZoneInfo) -> datetime:
    return (day + timedelta(days=1)).astimezone(info)


@pytest.mark.parametrize(("zone", "minutes"), [*((zone, 60) for zone in ZONES), ("Australia/Lord_Howe", 30)])
def test_each_hour_of_ten_years_is_read_back_as_the_zone_database_has_it(zone: str, minutes: int) -> None:
    """The only difference allowed is the second pass of a repeated hour, which iCalendar cannot say: see below."""
    block, info = vtimezone(zone), ZoneInfo(zone)
    assert block is not None
    client = ReadBack(block)

    wrong = [at for at in steps(minutes) if client.utc(at.astimezone(info).replace(tzinfo=None)) != at]

    assert [at for at in wrong if at.astimezone(info).fold == 0] == []
    assert len(wrong) == (0 if zone == "UTC" else 10)


@pytest.mark.parametrize(
    "zone", [zone for zone in (*ZONES, "Australia/Lord_Howe", "Africa/Casablanca") if zone != "UTC"]
)
def test_what_is_written_means_the_same_moment_without_any_exception(zone: str) -> None:
    block = vtimezone(zone)
    client = block and ReadBack(block)
    ticks = ticks_around_changes(zone)
    assert ticks  # how many there are depends on the rules of the day: Morocco has changed its own
    for at in ticks:
        (written,) = in_zone(zone, [at])
        if written.tzinfo is not UTC:
            assert client
            assert not is_repeated(written)
            assert client.utc(written.replace(tzinfo=None)) == at
        assert written == at


def test_the_block_of_brussels_has_two_rules_and_no_list_of_dates() -> None:
    block = vtimezone("Europe/Brussels")

    assert block is not None
    assert block.to_ical().decode().split("\r\n") == [
        "BEGIN:VTIMEZONE",
        "TZID:Europe/Brussels",
        "X-LIC-LOCATION:Europe/Brussels",
        "BEGIN:DAYLIGHT",
        "DTSTART:19700329T020000",
        "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3",
        "TZNAME:CEST",
        "TZOFFSETFROM:+0100",
        "TZOFFSETTO:+0200",
        "END:DAYLIGHT",
        "BEGIN:STANDARD",
        "DTSTART:19701025T030000",
        "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10",
        "TZNAME:CET",
        "TZOFFSETFROM:+0200",
        "TZOFFSETTO:+0100",
        "END:STANDARD",
        "END:VTIMEZONE",
        "",
    ]


def test_all_zones_of_the_union_have_a_block() -> None:
    cities = (
        "Amsterdam Athens Berlin Bratislava Brussels Bucharest Budapest Copenhagen Dublin Helsinki Lisbon Ljubljana"
        " Luxembourg Madrid Malta Paris Prague Riga Rome Sofia Stockholm Tallinn Vienna Vilnius Warsaw Zagreb"
    )

    assert [city for city in cities.split() if vtimezone(f"Europe/{city}") is None] == []


def test_a_zone_that_never_changes_its_clocks_has_one_block_without_a_rule() -> None:
    block = vtimezone("Asia/Kolkata")

    assert block is not None
    assert [half.name for half in block.subcomponents] == ["STANDARD"]
    assert b"RRULE" not in block.to_ical()
    assert b"TZOFFSETTO:+0530" in block.to_ical()


@pytest.mark.parametrize("zone", ["Africa/Casablanca", "Africa/Cairo", "America/Santiago", "America/Nuuk"])
def test_a_zone_whose_changes_follow_no_such_rule_has_no_block_and_is_written_in_utc(zone: str) -> None:
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC)

    assert vtimezone(zone) is None
    assert in_zone(zone, [noon])[0].tzinfo is UTC


def test_a_rule_that_is_given_up_within_the_years_is_no_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paraguay changed its clocks by the same two rules from 2013 to 2024, and never since."""
    monkeypatch.setattr(timezones, "YEARS", range(2013, 2030))

    assert vtimezone.__wrapped__("America/Asuncion") is None


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "is_utc"),
    [
        ("2026-10-24T23:30Z", "2026-10-25T00:00Z", True),  # ends as the first 02:00 begins
        ("2026-10-25T00:30Z", "2026-10-25T00:45Z", True),  # the first 02:30
        ("2026-10-25T01:30Z", "2026-10-25T01:45Z", True),  # the second 02:30
        ("2026-10-25T02:00Z", "2026-10-25T02:15Z", False),  # 03:00, once
        ("2027-03-28T00:45Z", "2027-03-28T01:15Z", False),  # over the gap
        ("2026-07-01T08:00Z", "2026-07-01T08:15Z", False),
        (f"{YEARS.stop}-07-01T08:00Z", f"{YEARS.stop}-07-01T08:15Z", True),
    ],
)
def test_start_and_end_are_both_in_utc_when_one_of_them_would_be_in_doubt(
    starts_at: str, ends_at: str, is_utc: bool
) -> None:
    moments = [datetime.fromisoformat(starts_at), datetime.fromisoformat(ends_at)]

    written = in_zone("Europe/Brussels", moments)

    assert written == moments
    assert [one.tzinfo is UTC for one in written] == [is_utc, is_utc]


@pytest.mark.parametrize("zone", ["Europe/Brussels", "Africa/Casablanca", "UTC"])
def test_every_time_is_the_one_in_the_database_when_it_is_read_back(context: Flask, clock: Clock, zone: str) -> None:
    town = make_town("zonedorp", zone)
    autumn = datetime(2026, 10, 24, 22, 0, tzinfo=UTC)
    starts = [autumn + timedelta(minutes=30 * n) for n in range(10)]
    starts += [datetime(2026, 11, 24, 9, 0, tzinfo=UTC)]
    for start in reversed(starts):
        add(town, start)

    shown = events(fetch(town, make_feed(town), datetime(2026, 10, 20, tzinfo=UTC)).content)

    assert [one["dtstart"].dt.astimezone(UTC) for one in shown] == starts
    assert [one["dtend"].dt.astimezone(UTC) for one in shown] == [start + timedelta(minutes=15) for start in starts]
    in_utc = sum("TZID" not in one["dtstart"].params for one in shown)
    assert in_utc == (
        4 if zone == "Europe/Brussels" else len(starts)
    )  # 00:00Z to 01:30Z, shown twice as 02:00 to 02:30
