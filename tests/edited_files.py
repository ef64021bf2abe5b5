"""Files of a town as somebody sends them back: the export, with something changed in it by chance."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from random import Random
from typing import TypeVar

from booking.exchange.imports import PARTS
from booking.townhall.models import Municipality
from tests.test_exchange import a_file, zipped

T = TypeVar("T")


class Chance(Random):
    """Chance that begins with a number, so that it can be lived again."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.begins = seed

    def __repr__(self) -> str:
        return f"Chance({self.begins})"

    def some(self, things: Sequence[T], least: int, most: int) -> list[T]:
        """So many of the things, in their order."""
        count = self.randint(min(least, len(things)), min(most, len(things)))
        return [things[n] for n in sorted(self.sample(range(len(things)), count))]

    def randbelow(self, below: int) -> int:
        """As the module `secrets` has it."""
        return self.randrange(below)


Row = dict[str, str]
Edit = Callable[[list[Row], Chance, date], list[Row]]

RELEASES = ["", "100 30 08:00", "50 10 08:00", "60 5 08:00; 40 1 12:00"]
WALK_INS = ["", "9 50", "9 100; 10 30; 14 100"]


def edited(town: Municipality, name: str, chance: Chance, today: date) -> bytes:
    """One file with an edit, or with the name "all" a ZIP of all of them."""
    if name == "all":
        return zipped(**{part.name: _edited(town, part.name, chance, today) for part in PARTS})
    return _edited(town, name, chance, today)


def _edited(town: Municipality, name: str, chance: Chance, today: date) -> bytes:
    part = next(part for part in PARTS if part.name == name)
    rows = list(csv.DictReader(io.StringIO(part.written(town))))
    return a_file(EDITS[name](rows, chance, today))


def _hours(rows: list[Row], chance: Chance, today: date) -> list[Row]:
    """Other hours at one counter from today on: none, shorter ones, every second week, or an end."""
    place = ("office", "desk", "counter")
    chosen = chance.choice(rows)
    mine = [row for row in rows if all(row[name] == chosen[name] for name in place)]
    others = [row for row in rows if row not in mine]
    how = chance.choice(["none", "shorter", "every second week", "an end"])
    if how == "none":
        return [*others, dict.fromkeys(chosen, "") | {name: chosen[name] for name in place}]
    days = chance.some("12345", 1, 5)
    changed = []
    for row in mine:
        if row["weekday"] not in days or (row["until"] and row["until"] < today.isoformat()):
            changed.append(row)
        elif how == "an end":
            last = today + timedelta(days=chance.randint(0, 9))
            changed.append(row | {"until": max(last.isoformat(), row["from"])})
        else:
            new = row | {"from": max(today.isoformat(), row["from"])}
            shorter = {"opens": "10:00", "closes": "11:30"}
            changed.append(new | (shorter if how == "shorter" else {"every_weeks": "2"}))
    return others + changed


def _desks(rows: list[Row], chance: Chance, _today: date) -> list[Row]:
    """The share of walk-ins, what is released when, the grid and the minutes kept free."""
    columns = {"releases": RELEASES, "walk_ins": WALK_INS, "step_minutes": ["5", "15"], "buffer_minutes": ["0", "10"]}
    return _with(rows, chance, columns)


def _counters(rows: list[Row], chance: Chance, _today: date) -> list[Row]:
    """A counter does something else, or a new one is there."""
    known = sorted({key for row in rows for key in row["services"].split("; ") if key})
    if chance.choice([True, False]):
        highest = max(int(row["counter"]) for row in rows)
        return [*rows, chance.choice(rows) | {"counter": str(highest + 1)}]
    left = chance.choice(["", *known])
    return _with(rows, chance, {"services": ["; ".join(key for key in known if key != left)]})


def _services(rows: list[Row], chance: Chance, _today: date) -> list[Row]:
    """A service takes longer or is offered for another while."""
    columns = {
        "minutes": ["5", "15", "40"],
        "extra_person_minutes": ["0", "20"],
        "min_notice_hours": ["0", "2", "30"],
        "max_days_ahead": ["4", "60"],
        "cancel_hours": ["0", "12"],
        "move_hours": ["0", "12"],
    }
    return _with(rows, chance, columns)


def _offices(rows: list[Row], chance: Chance, _today: date) -> list[Row]:
    return _with(rows, chance, {"name_en": ["Hall", "Annex"], "address": ["Kaai 1", "Kaai 2"], "access": ["", "lift"]})


def _staff(rows: list[Row], chance: Chance, _today: date) -> list[Row]:
    return [*rows[:1], *_with(rows[1:], chance, {"roles": ["none", "lead all"], "active": ["yes", "no"]})]


def _with(rows: list[Row], chance: Chance, columns: dict[str, list[str]]) -> list[Row]:
    """One row with another value in one of the columns."""
    chosen, column = chance.choice(rows), chance.choice(sorted(columns))
    value = chance.choice(columns[column])
    return [row | {column: value} if row is chosen else row for row in rows]


EDITS: dict[str, Edit] = {
    "offices": _offices,
    "desks": _desks,
    "services": _services,
    "counters": _counters,
    "hours": _hours,
    "staff": _staff,
}
