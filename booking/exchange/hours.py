"""Opening hours as a file: a line for each weekly rule of each counter.

A counter that the file names has these rules from today on and no others; one with a line but without hours has none.
What lies in the past is never rewritten, and whom new hours hit is asked as in the browser (planning).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from flask_babel import get_locale
from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from booking.db import db
from booking.exchange.files import Difference, Kind, Line, Part, Run, a_date, a_text, or_nothing, read_lines
from booking.exchange.offices import a_clock
from booking.exchange.places import CounterName, Places, places_of
from booking.spoken import short_weekday, wall_clock
from booking.townhall.hours import WeeklyRule
from booking.townhall.models import Municipality, OpeningHours
from booking.townhall.plans import matched, rule_of
from booking.townhall.sheets import SheetError, _, a_key, whole

LONGEST_AHEAD = 3 * 366  # days

HOURS = Kind(
    key=("office", "desk", "counter"),
    columns={
        "office": a_text(80),
        "desk": a_key,
        "counter": whole(1, 99_999),
        "weekday": or_nothing(whole(1, 7)),
        "opens": or_nothing(a_clock),
        "closes": or_nothing(a_clock),
        "from": or_nothing(a_date),
        "until": or_nothing(a_date),
        "every_weeks": or_nothing(whole(1, 8)),
    },
    may_repeat=True,
)
NEEDED = ("weekday", "opens", "closes", "from")


def _read(content: bytes, places: Places) -> list[Line]:
    town = places.municipality
    lines = read_lines(HOURS, content, town.languages, town.language)
    problems = [line.problem(found) for line in lines if (found := _problem(line, places))]
    if problems:
        raise SheetError(problems)
    return lines


def _problem(line: Line, places: Places) -> str | None:
    """What makes no sense in the line."""
    values = line.values
    missing = [name for name in NEEDED if values[name] is None]
    if found := places.counter_problem(_counter(line)):
        return found
    if len(missing) == len(NEEDED):
        return None  # closed
    if missing:
        return _("%(columns)s must not be empty, or all of the hours must be.", columns=", ".join(missing))
    if values["opens"] >= values["closes"]:
        return _("closes must be later than opens.")
    if values["until"] is not None and values["until"] < values["from"]:
        return _("until must not be before from.")
    return None


def _counter(line: Line) -> CounterName:
    return line.values["office"], line.values["desk"], line.values["counter"]


def _rule(line: Line) -> WeeklyRule | None:
    """The rule of the line; None where it says that there is none."""
    values = line.values
    if values["weekday"] is None:
        return None
    week = (values["weekday"] - 1, values["opens"], values["closes"])
    return WeeklyRule(*week, values["from"], values["until"], values["every_weeks"] or 1)


def _carry(run: Run, lines: Sequence[Line]) -> Iterator[Difference | None]:
    """Says what changes, and leaves the rules to be set by a plan. Raises SheetError."""
    by_counter: dict[CounterName, list[Line]] = {}
    for line in lines:
        by_counter.setdefault(_counter(line), []).append(line)
    rows = _rows([run.places.counters[one] or 0 for one in by_counter])
    problems: list[str] = []
    for place, mine in by_counter.items():
        id = run.places.counters[place] or 0
        wanted = {rule: line for line in mine if (rule := _rule(line)) is not None}
        kept, new = matched(rows[id], list(wanted), run.today)
        problems += [wanted[rule].problem(found) for rule in new if (found := _late(rule, rows[id], run.today))]
        changes = _changes(rows[id], kept, new, run.today)
        if changes:
            run.rules[id] = list(wanted)
        yield Difference(mine[0].name, changes) if changes else None
        yield from [None] * (len(mine) - 1)
    if problems:
        raise SheetError(problems)


def _late(rule: WeeklyRule, rows: Sequence[OpeningHours], today: date) -> str | None:
    """What is wrong with a new rule."""
    if rows and rule.from_on < today:
        return _("the past stays as it was: write from %(day)s on, or a later day.", day=today)
    if (rule.from_on - today).days > LONGEST_AHEAD:
        return _("choose a day within the next three years.")
    return None


def _changes(
    rows: Sequence[OpeningHours], kept: dict[OpeningHours, WeeklyRule], new: Sequence[WeeklyRule], today: date
) -> list[str]:
    over = [row for row in rows if row not in kept and (row.until_on is None or row.until_on >= today)]
    ends = [(row, rule) for row, rule in kept.items() if row.until_on != rule.until_on]
    return [
        *(_("new: %(hours)s", hours=_said(rule)) for rule in new),
        *(_("other end: %(hours)s", hours=_said(rule)) for _row, rule in ends),
        *(_("no longer: %(hours)s", hours=_said(rule_of(row))) for row in over),
    ]


def _said(rule: WeeklyRule) -> str:
    """The rule in short: "Mo 09:00-12:00, 2026-01-01 –"."""
    locale = get_locale()
    day = short_weekday(rule.weekday, locale.language if locale else "en")
    every = f", ×{rule.every_weeks}" if rule.every_weeks > 1 else ""
    days = f"{rule.from_on} – {rule.until_on or ''}".strip()
    return f"{day} {wall_clock(rule.opens)}-{wall_clock(rule.closes)}, {days}{every}"


def _rows(counter_ids: Sequence[int]) -> dict[int, list[OpeningHours]]:
    found: dict[int, list[OpeningHours]] = {id: [] for id in counter_ids}
    query = select(OpeningHours).where(OpeningHours.counter_id.in_(found))
    order = (OpeningHours.counter_id, OpeningHours.from_on, OpeningHours.weekday, OpeningHours.opens, OpeningHours.id)
    for row in db.session.scalars(query.order_by(*order)):
        found[row.counter_id].append(row)
    return found


def _written(town: Municipality) -> str:
    counters = places_of(town).counters
    rows = _rows([id for id in counters.values() if id is not None])
    lines: list[dict[str, Any]] = []
    for (office, desk, number), id in counters.items():
        place = {"office": office, "desk": desk, "counter": number}
        lines += [{**place, **_cells(row)} for row in rows[id or 0]] or [{**dict.fromkeys(HOURS.columns), **place}]
    return HOURS.written(town.languages, lines)


def _cells(row: OpeningHours) -> dict[str, Any]:
    return {
        "weekday": row.weekday + 1,
        "opens": wall_clock(row.opens),
        "closes": wall_clock(row.closes),
        "from": row.from_on,
        "until": row.until_on,
        "every_weeks": row.every_weeks,
    }


PART = Part("hours", _l("Opening hours"), HOURS.key, HOURS.header, _read, _carry, _written)
