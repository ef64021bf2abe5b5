"""Changes of when the town hall is open: new hours, closures, and taking a closure back.

What lies in the past is never rewritten: a series is cut where the new one begins, and goes on where that ends.
Each change leaves a delta, the rows it took away and the rows it added, by which it can be taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, select

from booking.db import db, table
from booking.townhall.hours import WeeklyRule, first_in_phase
from booking.townhall.models import Closure, Counter, Desk, OpeningHours

A_DAY = timedelta(days=1)

Rows = Mapping[str, Sequence[dict[str, Any]]]
Delta = dict[str, dict[str, list[dict[str, Any]]]]


class Overtaken(Exception):
    """Something was changed since; taking the earlier change back would undo that too."""


@dataclass(frozen=True)
class NewHours:
    """From the first day to the last (None: for good) these hours hold at the counters, and no others.

    `week` has (weekday, opens, closes); it holds every n-th week, counted from that of the first day.
    """

    counter_ids: tuple[int, ...]
    week: tuple[tuple[int, int, int], ...]
    from_on: date
    until_on: date | None = None
    every_weeks: int = 1


@dataclass(frozen=True)
class Timetable:
    """From today on each of these counters has these hours and no others, as a file says; the past stays as it was.

    A rule that began before today is one that the counter has, perhaps with another end; at a counter without any
    hours, which has no past, it may be new.
    """

    rules: Mapping[int, Sequence[WeeklyRule]]
    today: date

    @property
    def counter_ids(self) -> tuple[int, ...]:
        return tuple(self.rules)


@dataclass(frozen=True)
class Stretch:
    starts_at: datetime
    ends_at: datetime
    reasons: Mapping[str, str]


@dataclass(frozen=True)
class Closing:
    """The offices, or single counters, do not serve in these stretches."""

    stretches: tuple[Stretch, ...]
    office_ids: tuple[int, ...] = ()
    counter_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Reopening:
    """The closures are taken back; of one that has begun, what is left."""

    closure_ids: tuple[int, ...]


Plan = NewHours | Timetable | Closing | Reopening


def offices_of(plan: Plan) -> list[int]:
    """The offices that the plan changes, in the order of their ids."""
    found: set[int] = set()
    if isinstance(plan, Closing):
        found |= set(plan.office_ids)
    if isinstance(plan, Reopening):
        found |= set(db.session.scalars(select(Closure.office_id).where(Closure.id.in_(plan.closure_ids))))
    else:
        desks = select(Desk.office_id).join(Counter).where(Counter.id.in_(plan.counter_ids))
        found |= set(db.session.scalars(desks))
    return sorted(found)


def carry_out(plan: Plan, now: datetime) -> Delta:
    """Writes the plan down; what comes back is what it took away and added. The offices are raised before. Flushes."""
    scope = _Scope(tuple(offices_of(plan)), plan.counter_ids if isinstance(plan, NewHours | Timetable) else ())
    before = scope.rows()
    match plan:
        case NewHours():
            _set_hours(plan)
        case Timetable():
            _set_timetable(plan)
        case Closing():
            _close(plan)
        case Reopening():
            _reopen(plan, now)
    db.session.flush()
    return _delta(before, scope.rows())


def take_back(delta: Delta) -> None:
    """Undoes what carry_out() did. Raises Overtaken when a row that it added is not there as it was, or what the rows
    that it took away belong to is gone. Flushes.
    """
    for name, model in _TABLES.items():
        added, removed = delta[name]["added"], delta[name]["removed"]
        ids = [row["id"] for row in added]
        found = {row["id"]: row for row in _rows(model, model.id.in_(ids))}
        if any(found.get(row["id"]) != row for row in added):
            raise Overtaken
        db.session.execute(delete(model).where(model.id.in_(ids)), execution_options={"synchronize_session": False})
        _insert_again(model, [_read(row) for row in removed])
    db.session.expire_all()


def _insert_again(model: type[OpeningHours] | type[Closure], rows: Sequence[dict[str, Any]]) -> None:
    """Inserts the rows with their ids, or with new ones where SQLite has given them to others."""
    needed = {row["counter_id"] for row in rows} - {None}
    if needed - set(db.session.scalars(select(Counter.id).where(Counter.id.in_(needed)))):
        raise Overtaken
    ids = [row["id"] for row in rows]
    taken = set(db.session.scalars(select(model.id).where(model.id.in_(ids))))
    for mine in ([row for row in rows if row["id"] not in taken], [row for row in rows if row["id"] in taken]):
        values = [{name: value for name, value in row.items() if name != "id" or value not in taken} for row in mine]
        if values:
            db.session.execute(insert(table(model)), values)


_TABLES: dict[str, type[OpeningHours] | type[Closure]] = {"hours": OpeningHours, "closures": Closure}
_MOMENTS, _DATES = ("starts_at", "ends_at"), ("from_on", "until_on")


@dataclass(frozen=True)
class _Scope:
    """The rows that a plan may touch."""

    office_ids: tuple[int, ...]
    counter_ids: tuple[int, ...]

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        hours = OpeningHours.counter_id.in_(self.counter_ids)
        return {
            "hours": _rows(OpeningHours, hours) if self.counter_ids else [],
            "closures": _rows(Closure, Closure.office_id.in_(self.office_ids)),
        }


def _rows(model: type[OpeningHours] | type[Closure], where: Any) -> list[dict[str, Any]]:
    columns = table(model).columns
    return [_written(dict(row._mapping)) for row in db.session.execute(select(*columns).where(where))]


def _written(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in row.items()}


def _read(row: dict[str, Any]) -> dict[str, Any]:
    readers: dict[str, Any] = dict.fromkeys(_MOMENTS, datetime.fromisoformat) | dict.fromkeys(
        _DATES, date.fromisoformat
    )
    return {name: readers[name](value) if value and name in readers else value for name, value in row.items()}


def _delta(before: Rows, after: Rows) -> Delta:
    made: Delta = {}
    for name in _TABLES:
        old, new = ({row["id"]: row for row in rows[name]} for rows in (before, after))
        made[name] = {
            "removed": [row for id, row in old.items() if new.get(id) != row],
            "added": [row for id, row in new.items() if old.get(id) != row],
        }
    return made


def _set_hours(plan: NewHours) -> None:
    for rule in db.session.scalars(select(OpeningHours).where(OpeningHours.counter_id.in_(plan.counter_ids))).all():
        _cut(rule, plan.from_on, plan.until_on)
    db.session.add_all(
        OpeningHours(
            counter_id=counter_id,
            weekday=weekday,
            opens=opens,
            closes=closes,
            from_on=plan.from_on,
            until_on=plan.until_on,
            every_weeks=plan.every_weeks,
        )
        for counter_id in plan.counter_ids
        for weekday, opens, closes in plan.week
    )


def _set_timetable(plan: Timetable) -> None:
    query = select(OpeningHours).where(OpeningHours.counter_id.in_(plan.counter_ids)).order_by(OpeningHours.id)
    present: dict[int, list[OpeningHours]] = {id: [] for id in plan.counter_ids}
    for row in db.session.scalars(query):
        present[row.counter_id].append(row)
    added = []
    for counter_id, rules in plan.rules.items():
        kept, new = matched(present[counter_id], rules, plan.today)
        for row in present[counter_id]:
            if row not in kept:
                _cut(row, plan.today, None)
            elif row.until_on != kept[row].until_on:
                row.until_on = kept[row].until_on
        added += [{"counter_id": counter_id, **vars(rule)} for rule in new]
    if added:
        db.session.flush()
        db.session.execute(insert(OpeningHours), added)


def matched(
    present: Sequence[OpeningHours], wanted: Sequence[WeeklyRule], today: date
) -> tuple[dict[OpeningHours, WeeklyRule], list[WeeklyRule]]:
    """The rows that stay, each with the rule that it is from now on; and the rules that no row is."""
    free, kept = list(present), dict[OpeningHours, WeeklyRule]()
    rest = []
    for rule in wanted:  # first those that stay as they are, so that none of them gets the end of another
        same = next((row for row in free if rule_of(row) == rule), None)
        if same is None:
            rest.append(rule)
        else:
            free.remove(same)
            kept[same] = rule
    new = []
    for rule in rest:
        longer = next((row for row in free if _is_another_end(row, rule, today)), None)
        if longer is None:
            new.append(rule)
        else:
            free.remove(longer)
            kept[longer] = rule
    return kept, new


def rule_of(row: OpeningHours) -> WeeklyRule:
    return WeeklyRule(row.weekday, row.opens, row.closes, row.from_on, row.until_on, row.every_weeks)


def _is_another_end(row: OpeningHours, rule: WeeklyRule, today: date) -> bool:
    """Whether the rule is the row with another last day, neither of them in the past."""
    ends = [until for until in (row.until_on, rule.until_on) if until is not None]
    return rule_of(row) == replace(rule, until_on=row.until_on) and all(until >= today - A_DAY for until in ends)


def _cut(rule: OpeningHours, first: date, last: date | None) -> None:
    """Takes the days from `first` to `last` out of the rule; what comes after goes on as a rule of its own."""
    if (last is not None and rule.from_on > last) or (rule.until_on is not None and rule.until_on < first):
        return
    if last is not None and (rule.until_on is None or rule.until_on > last):
        goes_on = first_in_phase(rule.from_on, rule.every_weeks, last + A_DAY)
        if rule.until_on is None or goes_on <= rule.until_on:
            db.session.add(_copy(rule, goes_on))
    if rule.from_on < first:
        rule.until_on = first - A_DAY
    else:
        db.session.delete(rule)


def _copy(rule: OpeningHours, from_on: date) -> OpeningHours:
    same = ("counter_id", "weekday", "opens", "closes", "until_on", "every_weeks")
    return OpeningHours(from_on=from_on, **{name: getattr(rule, name) for name in same})


def _close(plan: Closing) -> None:
    offices: Iterable[Any] = db.session.execute(
        select(Counter.id, Desk.office_id).join(Desk).where(Counter.id.in_(plan.counter_ids)).order_by(Counter.id)
    )
    places = [*((office_id, None) for office_id in plan.office_ids), *((office, id) for id, office in offices)]
    db.session.add_all(
        Closure(
            office_id=office_id,
            counter_id=counter_id,
            starts_at=one.starts_at,
            ends_at=one.ends_at,
            reasons=dict(one.reasons),
        )
        for one in plan.stretches
        for office_id, counter_id in places
    )


def _reopen(plan: Reopening, now: datetime) -> None:
    for closure in db.session.scalars(select(Closure).where(Closure.id.in_(plan.closure_ids))).all():
        if closure.starts_at < now < closure.ends_at:
            closure.ends_at = now
        elif closure.starts_at >= now:
            db.session.delete(closure)
