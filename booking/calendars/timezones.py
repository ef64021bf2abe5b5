"""Time zones in calendar files: one VTIMEZONE made of yearly rules, and UTC wherever such a block would leave doubt.

icalendar's own blocks list every change as RDATE; Outlook and ical.js read them wrongly, rules they read rightly.
"""

from __future__ import annotations

from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from icalendar import Timezone, TimezoneDaylight, TimezoneStandard, vText

YEARS = range(2026, 2061)  # what a block is checked against; a moment outside is written in UTC
RULES_SINCE = 1970
LAST = -1
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


@dataclass(frozen=True)
class _Rule:
    """What one change of the clock has in common every year. `at` is the wall clock by the old offset."""

    before: timedelta
    after: timedelta
    name: str
    month: int
    weekday: int
    at: time


@lru_cache(maxsize=1024)
def vtimezone(zone: str) -> Timezone | None:
    """The VTIMEZONE of an IANA zone (RFC 5545 3.6.5), for reading only: every call returns the same one.

    A zone that changes its clocks on the nth or last weekday of a month gets two blocks with a rule, one that never
    changes them gets a single block. None for a zone whose changes in YEARS follow no such rule.
    """
    info = ZoneInfo(zone)
    block = Timezone()
    block.add("tzid", zone)
    block.add("x-lic-location", vText(zone))
    changes = list(_changes(info))
    rules = _yearly(changes)
    if changes and not rules:
        return None
    for rule, nth in sorted(rules.items(), key=lambda found: found[0].after, reverse=True):
        half = _observance(rule.before, rule.after, rule.name, datetime.combine(_onset(rule, nth), rule.at))
        half.add("rrule", {"freq": "yearly", "bymonth": rule.month, "byday": f"{nth}{WEEKDAYS[rule.weekday]}"})
        block.add_component(half)
    if not changes:
        block.add_component(_unchanging(info))
    return block


def in_zone(zone: str, moments: Sequence[datetime]) -> list[datetime]:
    """The moments on the zone's wall clock, or all of them in UTC if one is in doubt there.

    In doubt are times of an hour that the clock repeats (iCalendar cannot say which of the two is meant), of a year
    without a checked rule, and of a zone without a block. All or none, as RFC 5545 3.8.2.2 wants for start and end.
    """
    local = [moment.astimezone(ZoneInfo(zone)) for moment in moments]
    is_sure = vtimezone(zone) is not None and all(one.year in YEARS and not is_repeated(one) for one in local)
    return local if is_sure else [moment.astimezone(UTC) for moment in moments]


def is_repeated(local: datetime) -> bool:
    """Whether the clock shows this time twice, because it is then put back."""
    return local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()


def _changes(zone: ZoneInfo) -> Iterator[tuple[_Rule, date]]:
    """Every change of the clock in YEARS, with the local date on which it begins."""
    first, last = datetime(YEARS.start, 1, 1, tzinfo=UTC), datetime(YEARS.stop, 1, 1, tzinfo=UTC)
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    for earlier, later in pairwise(days):
        before, after = _offset(earlier, zone), _offset(later, zone)
        if before != after:
            change = _first_with(after, earlier, later, zone)
            onset = (change + before).replace(tzinfo=None)
            name = change.astimezone(zone).tzname() or ""
            yield _Rule(before, after, name, onset.month, onset.weekday(), onset.time()), onset.date()


def _first_with(offset: timedelta, earlier: datetime, later: datetime, zone: ZoneInfo) -> datetime:
    """The moment between the two at which the offset begins to hold, to the minute."""
    while later - earlier > timedelta(minutes=1):
        middle = earlier + (later - earlier) // 2
        middle = middle.replace(second=0, microsecond=0)
        earlier, later = (earlier, middle) if _offset(middle, zone) == offset else (middle, later)
    return later


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _yearly(changes: Iterable[tuple[_Rule, date]]) -> dict[_Rule, int]:
    """The two rules that all changes follow, each with its nth weekday; empty if they follow none."""
    dates: dict[_Rule, list[date]] = defaultdict(list)
    for rule, day in changes:
        dates[rule].append(day)
    yearly = {rule: _nth(days) for rule, days in dates.items() if [day.year for day in days] == list(YEARS)}
    rules = {rule: nth for rule, nth in yearly.items() if nth is not None}
    return rules if len(rules) == len(dates) == 2 else {}


def _nth(days: Sequence[date]) -> int | None:
    """Which weekday of their month all these dates are: 1 to 4, or LAST."""
    if all(day.day + 7 > monthrange(day.year, day.month)[1] for day in days):
        return LAST
    ordinals = {(day.day - 1) // 7 + 1 for day in days}
    return ordinals.pop() if len(ordinals) == 1 else None


def _unchanging(zone: ZoneInfo) -> TimezoneDaylight | TimezoneStandard:
    moment = datetime(YEARS.start, 1, 1, tzinfo=UTC)
    offset, name = _offset(moment, zone), moment.astimezone(zone).tzname() or ""
    return _observance(offset, offset, name, datetime.combine(date(RULES_SINCE, 1, 1), time()))


def _observance(before: timedelta, after: timedelta, name: str, onset: datetime) -> TimezoneDaylight | TimezoneStandard:
    """One half of the year: DAYLIGHT when the clock goes forward, also in Ireland, whose law calls summer standard."""
    block = TimezoneDaylight() if after > before else TimezoneStandard()
    block.add("dtstart", onset)
    block.add("tzoffsetfrom", before)
    block.add("tzoffsetto", after)
    block.add("tzname", name)
    return block


def _onset(rule: _Rule, nth: int) -> date:
    """The day on which the rule would have begun in RULES_SINCE."""
    length = monthrange(RULES_SINCE, rule.month)[1]
    days = [date(RULES_SINCE, rule.month, day) for day in range(1, length + 1)]
    return [day for day in days if day.weekday() == rule.weekday][nth if nth == LAST else nth - 1]
