"""A town on paper: what is free there, found by walking through every minute. It knows nothing of ticks in integers,
of revisions, and of the database.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

ZONE = ZoneInfo("Europe/Brussels")
DAY = 24 * 60
SPAN = 7 * DAY  # minutes that are walked: from the day before today past midnight of the farthest day, the third
LONGEST = timedelta(hours=2)  # of a hold that is extended
Tick = tuple[int, int]  # of a counter
Taker = tuple[str, int]
Taken = Mapping[Tick, tuple[Taker, datetime | None]]  # who has it, and until when (None: for good)
Opening = tuple[int | None, int, int, tuple[int, int | None] | None]
Plan = tuple[int, set[int], list[Opening]]
FREED: Taker = ("freed", 0)  # whoever comes when it is back


@dataclass(frozen=True)
class Limits:
    """The rules of the town."""

    freed_minutes: int
    held_percent: int
    per_browser: int
    per_contact: int


@dataclass(frozen=True)
class Hours:
    """A weekly rule; the wall clock in minutes after midnight."""

    weekday: int
    opens: int
    closes: int
    from_on: date
    until_on: date | None


@dataclass
class Desk:
    """The grid of its starts, and what is kept free after each visit, in minutes."""

    step: int
    buffer: int
    id: int = 0


@dataclass
class Service:
    """Minutes of a visit and of each further person, hours of notice, days ahead."""

    minutes: int
    extra: int
    notice: int
    days: int
    id: int = 0

    @property
    def columns(self) -> dict[str, int]:
        """The service as its row has it."""
        lengths = {"minutes": self.minutes, "extra_person_minutes": self.extra}
        return {**lengths, "min_notice_hours": self.notice, "max_days_ahead": self.days}


@dataclass
class Counter:
    """A counter, the ids of the services it does, and its weekly rules by their ids."""

    id: int
    desk: Desk
    office_id: int
    does: set[int] = field(default_factory=set)
    hours: dict[int, Hours] = field(default_factory=dict)


@dataclass(frozen=True)
class Wish:
    """What somebody comes for: a service for so many people."""

    service: Service
    people: int

    @property
    def length(self) -> int:
        return self.service.minutes + self.service.extra * (self.people - 1)


@dataclass
class Visit:
    """What is held (by a browser, until `ends_at`) or booked (by a contact)."""

    kind: str
    id: int
    counter: Counter
    wish: Wish
    start: datetime
    who: str | None
    made_at: datetime
    ends_at: datetime | None = None
    became: int | None = None  # the booking of a hold
    is_cancelled: bool = False

    @property
    def taker(self) -> Taker:
        return self.kind, self.id

    def lives(self, now: datetime) -> bool:
        """Whether it is a hold that still keeps its slot."""
        return self.became is None and self.ends_at is not None and self.ends_at > now


@dataclass(frozen=True)
class Asked:
    """Who asks for which start, and what is given back for it."""

    office_id: int
    wish: Wish
    start: datetime
    who: str  # "staff", a browser, or one that takes no cookie
    given: Visit | None = None

    @property
    def is_staff(self) -> bool:
        return self.who == "staff"

    @property
    def browser(self) -> str | None:
        return self.who if self.who in ("one", "two") else None

    @property
    def but(self) -> set[Taker]:
        """Those whose ticks are as good as free."""
        return {*([self.given.taker] if self.given else []), *([FREED] if self.is_staff else [])}


def minute_of(moment: datetime) -> float:
    return moment.timestamp() / 60


@cache
def moment_at(minute: int) -> datetime:
    return datetime.fromtimestamp(60 * minute, UTC)


@cache
def wall(minute: int) -> tuple[date, int]:
    """The local date, and the minutes after midnight that the clock on the wall shows."""
    local = moment_at(minute).astimezone(ZONE)
    return local.date(), local.hour * 60 + local.minute


def span_from(now: datetime) -> int:
    """The first minute that is walked."""
    return (int(minute_of(now)) // DAY - 1) * DAY


@lru_cache(maxsize=64)
def on_grid(step: int, first: int) -> list[int]:
    return [n for n in range(SPAN) if wall(first + n)[1] % step == 0]


@lru_cache(maxsize=64)
def open_minutes(rules: tuple[Hours, ...], first: int) -> bytes:
    """For each minute that is walked, 1 where one of the rules says that the counter serves."""
    valid = {
        day: [one for one in rules if one.weekday == day.weekday() and one.from_on <= day <= (one.until_on or date.max)]
        for day in {wall(first + n)[0] for n in range(0, SPAN + 60, 60)}
    }
    walls = (wall(first + n) for n in range(SPAN))
    return bytes(any(one.opens <= clock < one.closes for one in valid[day]) for day, clock in walls)


@dataclass
class Town:
    """The town as it stands."""

    limits: Limits
    desks: list[Desk]  # two of each office
    services: list[Service]
    counters: list[Counter] = field(default_factory=list)
    closures: dict[int, tuple[set[int], datetime, datetime]] = field(default_factory=dict)  # which counters, from, to
    taken: dict[Tick, tuple[Taker, datetime | None]] = field(default_factory=dict)
    holds: list[Visit] = field(default_factory=list)
    booked: list[Visit] = field(default_factory=list)

    @property
    def visits(self) -> list[Visit]:
        return [*self.holds, *self.booked]

    def counter(self, id: int) -> Counter:
        return next(one for one in self.counters if one.id == id)

    def living(self, now: datetime) -> Taken:
        return {tick: (who, until) for tick, (who, until) in self.taken.items() if until is None or until > now}

    def ticks(self, visit: Visit) -> set[Tick]:
        """What the visit takes, with the buffer behind it, as things stand."""
        first = int(minute_of(visit.start)) // 5
        count = (visit.wish.length + visit.counter.desk.buffer) // 5
        return {(visit.counter.id, tick) for tick in range(first, first + count)}

    def take(self, visit: Visit, until: datetime | None = None) -> None:
        self.taken |= dict.fromkeys(self.ticks(visit), (visit.taker, until))

    def give_back(self, who: Taker) -> set[Tick]:
        """Lets go of all that is theirs; which ticks that was."""
        given = {tick for tick, (taker, _until) in self.taken.items() if taker == who}
        for tick in given:
            del self.taken[tick]
        return given

    def serving(self, counter: Counter, now: datetime) -> bytes:
        """For each minute that is walked, 1 where the counter serves. A closure takes every tick that it touches."""
        first = span_from(now)
        minutes = bytearray(open_minutes(tuple(counter.hours.values()), first))
        for closed, starts, ends in self.closures.values():
            begins = max(int(minute_of(starts) // 5 * 5) - first, 0)
            finishes = min(int(-(-minute_of(ends) // 5) * 5) - first, SPAN)
            if counter.id in closed and begins < finishes:
                minutes[begins:finishes] = bytes(finishes - begins)
        return bytes(minutes)

    def fitting(self, counter: Counter, length: int, now: datetime, but: Set[Taker]) -> list[int]:
        """The minutes at which a visit may begin, as if those in `but` took nothing."""
        first, serving, free = span_from(now), self.serving(counter, now), bytearray(b"\1" * SPAN)
        for (id, tick), (who, _until) in self.living(now).items():
            at = tick * 5 - first
            if id == counter.id and who not in but and 0 <= at < SPAN:
                free[at : at + 5] = bytes(5)
        visit, kept = b"\1" * length, b"\1" * (length + counter.desk.buffer)
        grid = on_grid(counter.desk.step, first)
        return [first + n for n in grid if serving.startswith(visit, n) and free.startswith(kept, n)]

    def offered(
        self, office_id: int, wish: Wish, now: datetime, but: Set[Taker], notice: timedelta | None = None
    ) -> dict[datetime, set[int]]:
        """All starts that the office has for this wish, each with the counters that are free for it."""
        soonest = minute_of(now + (timedelta(hours=wish.service.notice) if notice is None else notice))
        last_day = now.astimezone(ZONE).date() + timedelta(days=wish.service.days)
        found = defaultdict(set)
        for counter in self.counters:
            if counter.office_id == office_id and wish.service.id in counter.does:
                for minute in self.fitting(counter, wish.length, now, but):
                    if minute >= soonest and wall(minute)[0] <= last_day:
                        found[moment_at(minute)].add(counter.id)
        return found

    def first_free(self, wish: Wish, now: datetime) -> datetime | None:
        """The first start that any office offers."""
        offices = {counter.office_id for counter in self.counters}
        return min((start for id in offices for start in self.offered(id, wish, now, set())), default=None)

    def is_day_full(self, visit: Visit, now: datetime, but: Set[Taker]) -> bool:
        """Whether with this hold the living holds would have more than their part of the office's local day."""
        day, first = wall(int(minute_of(visit.start)))[0], span_from(now)
        counters = {one.id: one for one in self.counters if one.office_id == visit.counter.office_id}
        held = [
            tick
            for (id, tick), (who, _until) in self.living(now).items()
            if who[0] == "hold" and who not in but and id in counters and wall(tick * 5)[0] == day
        ]
        today = [n for n in range(SPAN) if wall(first + n)[0] == day]
        is_open = sum(serving[n] for serving in (self.serving(one, now) for one in counters.values()) for n in today)
        part = 5 * (len(held) + len(self.ticks(visit)))
        return bool(held) and 100 * part > self.limits.held_percent * is_open

    def has_enough_holds(self, browser: str | None, now: datetime, given: Visit | None) -> bool:
        mine = [one for one in self.holds if one.who == browser and one is not given and one.lives(now)]
        return browser is not None and len(mine) >= self.limits.per_browser

    def twins(self, office_id: int, wish: Wish, start: datetime, browser: str | None, now: datetime) -> dict[int, int]:
        """What the browser holds already of this slot, each with its counter: the button is pressed again."""
        mine = [one for one in self.holds if one.who == browser is not None and one.lives(now)]
        same = [one for one in mine if (one.wish, one.start, one.counter.office_id) == (wish, start, office_id)]
        return {one.id: one.counter.id for one in same}

    def has_enough_booked(self, contact: str, now: datetime) -> bool:
        mine = [one for one in self.booked if one.who == contact]
        to_come = [one for one in mine if one.start > now and not one.is_cancelled]
        lately = [one for one in mine if one.made_at > now - timedelta(days=1)]
        return len(to_come) >= self.limits.per_contact or len(lately) >= 2 * self.limits.per_contact

    def extends(self, held: Visit, now: datetime) -> bool:
        """Whether the hold may be kept for longer: its slot is its own still, or free again."""
        fits = self.fitting(held.counter, held.wish.length, now, {held.taker})
        return minute_of(held.start) in fits and now < held.start and now < held.made_at + LONGEST

    def counters_for(self, held: Visit, now: datetime) -> set[int]:
        """Where the hold can be booked: at its own counter while it lives, then wherever that time is offered."""
        if held.start <= now:
            return set()
        if not held.lives(now):
            return self.offered(held.counter.office_id, held.wish, now, set()).get(held.start, set())
        at = int(minute_of(held.start)) - span_from(now)
        serves = self.serving(held.counter, now).startswith(b"\1" * held.wish.length, at)
        others = {tick for tick, (who, _until) in self.living(now).items() if who != held.taker}
        return {held.counter.id} if serves and not others & self.ticks(held) else set()


begins = st.builds(
    lambda day, second: datetime(2026, day[0], day[1], tzinfo=ZONE).astimezone(UTC) + timedelta(seconds=second),
    st.sampled_from([(3, 27), (10, 23), (11, 24)]),  # two days before a change of the clock; or none
    st.integers(0, 86400),
)
openings = st.tuples(
    st.none() | st.integers(0, 6),  # on each day of the week, or on one
    st.sampled_from([0, 60, 120, 540, 1380]) | st.integers(0, 280).map(lambda ticks: ticks * 5),
    st.sampled_from([60, 180, 480]) | st.integers(1, 60).map(lambda ticks: ticks * 5),  # for so many minutes
    st.none() | st.tuples(st.integers(0, 4), st.none() | st.integers(0, 4)),  # from when on, for how many days more
)
steps, buffers = st.sampled_from([5, 10, 15, 20, 30, 60]), st.sampled_from([0, 5, 15])
minutes, extras, notices = st.sampled_from([5, 15, 25, 60]), st.sampled_from([0, 10]), st.sampled_from([0, 1, 26])
plans = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 1, 2]),  # the desk
        st.sampled_from([{0, 1}, {0}, {1}]),  # the services
        st.lists(openings, min_size=1, max_size=2),
    ),
    min_size=2,
    max_size=4,
)
towns = st.builds(
    Town,
    st.builds(Limits, st.sampled_from([0, 30]), st.sampled_from([100, 10]), st.integers(1, 3), st.integers(1, 3)),
    st.lists(st.builds(Desk, steps, buffers), min_size=4, max_size=4),
    st.lists(st.builds(Service, minutes, extras, notices, st.integers(1, 3)), min_size=2, max_size=2),
)


def lives(examples: int, derandomize: bool = False) -> hypothesis_settings:
    """So many random lives of thirty steps, with words that bring one that failed back."""
    return hypothesis_settings(
        max_examples=examples,
        stateful_step_count=30,
        derandomize=derandomize,
        database=None,
        print_blob=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
