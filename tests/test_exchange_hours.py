"""Hours from a file: the past of a series stays, and whom new hours hit is asked as in the browser."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from booking.appointments.models import Appointment
from booking.db import begin_write, db
from booking.planning.impact import Decision, Meanwhile
from booking.planning.models import Adjustment, Choice
from booking.planning.undo import undo
from booking.staff.audit import Actor, member
from booking.staff.models import Role
from booking.townhall.models import OpeningHours
from tests.conftest import MONDAY
from tests.factories import Town, make_staff
from tests.test_exchange import a_file, changes, file_of, imported, problems, read, rows_of
from tests.test_planning import FRIDAY, booked, nothing_is_wrong

pytestmark = pytest.mark.townhall

TODAY = MONDAY.date()
YESTERDAY = TODAY - timedelta(days=1)


@pytest.fixture
def author(context: Flask, town: Town) -> Actor:
    made = member(make_staff(town.municipality_id, "ann@testdorp.example.org", Role.ADMINISTRATOR))
    db.session.commit()
    return made


Row = dict[str, str]


def edited(town: Town, change: Callable[[Row], Row | None]) -> bytes:
    """The hours of the town, each line changed or taken out."""
    return a_file(row for given in rows_of(town, "hours") if (row := change(given)))


def on_friday(town: Town) -> list[tuple[int, int, int, date, date | None]]:
    """The rules of Fridays, of both counters."""
    columns = (OpeningHours.opens, OpeningHours.closes, OpeningHours.from_on, OpeningHours.until_on)
    query = select(OpeningHours.counter_id, *columns).where(OpeningHours.weekday == 4)
    return sorted(tuple(row) for row in db.session.execute(query))  # type: ignore[misc]


def without_friday_mornings(row: Row) -> Row | None:
    return None if row["weekday"] == "5" and row["opens"] == "09:00" and row["counter"] == "1" else row


def test_a_line_that_is_gone_ends_yesterday(author: Actor, town: Town) -> None:
    before = on_friday(town)

    found = imported(town, edited(town, without_friday_mornings), author)

    assert changes(found) == {"Stadhuis, civil, 1": ["no longer: Fr 09:00-12:00, 2020-01-01 –"]}
    first = before[0]
    assert on_friday(town) == [(*first[:4], YESTERDAY), *before[1:]]
    nothing_is_wrong(town)
    assert imported(town, file_of(town, "hours").encode(), author).is_empty


def test_a_series_gets_another_end_and_goes_on_as_another(author: Actor, town: Town) -> None:
    rows = []
    for row in rows_of(town, "hours"):
        rows.append(row)
        if (row["counter"], row["weekday"], row["opens"]) == ("1", "5", "09:00"):
            rows.append({**row, "opens": "8:00", "from": "2027-01-01"})
            row["until"] = "2026-12-31"

    found = imported(town, a_file(rows), author)

    assert changes(found) == {
        "Stadhuis, civil, 1": [
            "new: Fr 08:00-12:00, 2027-01-01 –",
            "other end: Fr 09:00-12:00, 2020-01-01 – 2026-12-31",
        ]
    }
    assert (1, 540, 720, date(2020, 1, 1), date(2026, 12, 31)) in on_friday(town)
    assert (1, 480, 720, date(2027, 1, 1), None) in on_friday(town)


def test_the_past_cannot_be_given_another_end(author: Actor, town: Town) -> None:
    def shortened(row: Row) -> Row:
        return row | {"until": "2026-11-01"} if row["weekday"] == "5" else row

    found = problems(town, edited(town, shortened), author)

    assert len(found) == 4
    assert all("the past stays as it was" in one for one in found)


def test_a_counter_with_a_line_but_no_hours_is_closed_from_today_on(author: Actor, town: Town) -> None:
    empty = dict.fromkeys(rows_of(town, "hours")[0], "") | {"office": "Stadhuis", "desk": "civil", "counter": "1"}

    imported(town, a_file([empty]), author)

    ends = select(OpeningHours.until_on).where(OpeningHours.counter_id == town.counter_ids[0]).distinct()
    assert list(db.session.scalars(ends)) == [YESTERDAY]
    others = select(OpeningHours.until_on).where(OpeningHours.counter_id == town.counter_ids[1]).distinct()
    assert list(db.session.scalars(others)) == [None]
    assert imported(town, file_of(town, "hours").encode(), author).is_empty


def test_whom_new_hours_hit_is_shown_and_decided(author: Actor, town: Town) -> None:
    (id,) = booked(town, FRIDAY)
    counter = db.session.get_one(Appointment, id).counter_id
    content = edited(town, lambda row: None if row["weekday"] == "5" and row["counter"] == str(counter) else row)

    looked_at = read(town, content, author)
    list(looked_at.preview())
    (proposal,) = looked_at.proposals
    undecided = read(town, content, author)
    with pytest.raises(Meanwhile):
        list(undecided.carry_out({}))
    db.session.rollback()
    begin_write()
    found = read(town, content, author)
    list(found.carry_out({id: Decision(Choice.MOVE, proposal.start)}))
    db.session.commit()

    assert proposal.appointment_id == id and proposal.start == FRIDAY
    row = db.session.get_one(Appointment, id)
    assert (row.starts_at, row.counter_id != counter) == (proposal.start, True)
    nothing_is_wrong(town)


def test_the_hours_of_an_import_are_undone_like_any_other(author: Actor, town: Town) -> None:
    (id,) = booked(town, FRIDAY)
    before = on_friday(town)
    content = edited(town, lambda row: None if row["weekday"] == "5" else row)
    looked_at = read(town, content, author)
    list(looked_at.preview())
    decided = {one.appointment_id: Decision(Choice.MOVE, one.start) for one in looked_at.proposals}
    found = read(town, content, author)
    list(found.carry_out(decided))
    db.session.commit()
    assert on_friday(town) != before
    made = db.session.scalars(select(Adjustment)).one().id

    db.session.rollback()
    begin_write()
    undo(db.session.get_one(Adjustment, made), author, MONDAY + timedelta(minutes=1))
    db.session.commit()

    assert on_friday(town) == before
    assert db.session.get_one(Appointment, id).starts_at == FRIDAY
    nothing_is_wrong(town)
