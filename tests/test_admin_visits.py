"""What an administrator decides about visits: what combines, the order, deadlines, ways and waits."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select

from booking.db import db
from booking.staff.models import Role
from booking.townhall.models import Municipality, Office, Service, Way
from booking.townhall.standing import standing
from tests.factories import Town, make_office, make_staff
from tests.pages import Visitor
from tests.test_admin import fill
from tests.test_staff_pages import signed_in

pytestmark = pytest.mark.townhall


@pytest.fixture
def ann(app: Flask, town: Town) -> Visitor:
    """Ann administers a town of two offices."""
    with app.app_context():
        make_staff(town.municipality_id, "ann@testdorp.example.org", Role.ADMINISTRATOR).language = "en"
        make_office(db.session.get_one(Municipality, town.municipality_id), position=2)
        db.session.commit()
    return signed_in(app, "ann")


def test_how_long_people_wait_and_how_much_more_time_they_get(ann: Visitor, app: Flask, town: Town) -> None:
    assert fill(ann, "/town", extra_minutes="7").status == 422
    ann.follow(fill(ann, "/town", longest_wait_minutes="20", extra_minutes="15"))

    with app.app_context():
        row = db.session.get_one(Municipality, town.municipality_id)
        assert (row.longest_wait_minutes, row.extra_minutes) == (20, 15)


def test_what_combines_what_comes_first_and_how_late_it_can_be_changed(ann: Visitor, app: Flask, town: Town) -> None:
    path = f"/services/{town.wedding_id}"
    typed = {"combines": "papers", "comes_after": "passport, civil", "move_hours": "48", "cancel_hours": "4"}

    ann.follow(fill(ann, path, **typed))

    with app.app_context():
        row = db.session.get_one(Service, town.wedding_id)
        assert (row.combines, row.comes_after) == ("papers", ["passport", "civil"])
        assert (row.move_hours, row.cancel_hours) == (48, 4)
    circle = fill(ann, f"/services/{town.passport_id}", comes_after="wedding")
    assert circle.status == 422
    assert "before themselves" in circle.text
    assert "no service or department" in fill(ann, path, comes_after="nothing").text


def test_the_ways_between_offices_are_kept_both_ways(ann: Visitor, app: Flask, town: Town) -> None:
    with app.app_context():
        other = db.session.scalars(select(Office.id).where(Office.id != town.office_id)).one()
    pair = (town.office_id, other)

    ann.follow(fill(ann, f"/offices/{town.office_id}", walk_minutes="4", **{f"ways-{other}": "12"}))
    assert ways(app) == {pair: 12, pair[::-1]: 12}
    assert fill(ann, f"/offices/{other}", **{f"ways-{town.office_id}": "far"}).status == 422
    ann.follow(fill(ann, f"/offices/{other}", **{f"ways-{town.office_id}": ""}))

    assert ways(app) == {}
    with app.app_context():
        assert db.session.get_one(Office, town.office_id).walk_minutes == 4
        assert db.session.scalar(select(Way)) is None


def ways(app: Flask) -> dict[tuple[int, int], int]:
    """As the pages of citizens know them."""
    with app.app_context():
        found = standing("testdorp")
        assert found
        return dict(found[0].ways)
