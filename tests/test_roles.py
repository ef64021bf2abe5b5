"""A role holds at a desk, in an office or in the municipality; who has one in an office has its desks, and no more."""

from __future__ import annotations

import io
import zipfile

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from booking.calendars.models import Feed
from booking.calendars.subscriptions import scope_of, subscriptions
from booking.db import db
from booking.exchange.archive import archive
from booking.staff.accounts import grant, holds
from booking.staff.models import EVERYWHERE, Place, Role, Staff, StaffRole
from booking.townhall.models import Municipality, Office
from booking.townhall.standing import standing
from tests.conftest import MONDAY
from tests.factories import Town, make_counter, make_desk, make_hours, make_office, make_staff
from tests.test_admin import ADMIN, fill
from tests.test_admin_guards import addresses
from tests.test_admin_staff import account_of, fill_account
from tests.test_staff_pages import TODAY, signed_in

pytestmark = pytest.mark.house


@pytest.fixture
def annex(app: Flask, town: Town, management: None) -> tuple[int, int]:
    """A second office with a desk: their ids. Olga manages the first, Otto the second, Cleo is clerk in the first."""
    with app.app_context():
        office = make_office(db.session.get_one(Municipality, town.municipality_id), 2)
        desk = make_desk(office, key="building")
        make_hours(make_counter(desk), 0, 540, 720)
        for name, role, office_id in (
            ("olga", Role.MANAGER, town.office_id),
            ("otto", Role.MANAGER, office.id),
            ("cleo", Role.CLERK, town.office_id),
        ):
            make_staff(town.municipality_id, f"{name}@testdorp.example.org", role, office_id=office_id).language = "en"
        db.session.commit()
        return office.id, desk.id


def test_a_role_holds_at_its_place_and_in_what_belongs_to_it() -> None:
    desk, office = Place(5, 2), Place(office_id=2)
    for held, at_desk, in_office, everywhere in (
        (EVERYWHERE, True, True, True),
        (Place(office_id=2), True, True, False),
        (Place(desk_id=5), True, False, False),
        (Place(office_id=3), False, False, False),
        (Place(desk_id=6), False, False, False),
    ):
        staff = Staff()
        staff.roles = [role_at(held)]
        found = [holds(staff, Role.LEAD, place) for place in (desk, office, EVERYWHERE)]
        assert found == [at_desk, in_office, everywhere], held
        assert not holds(staff, Role.MANAGER, desk)


def role_at(place: Place) -> StaffRole:
    return StaffRole(role=Role.LEAD, desk_id=place.desk_id, office_id=place.office_id)


def test_in_an_office_one_has_its_desks_also_those_to_come(app: Flask, town: Town, annex: tuple[int, int]) -> None:
    cleo = signed_in(app, "cleo")
    assert cleo.get(f"{TODAY}{town.desk_id}").status == 200
    assert cleo.get(f"{TODAY}{annex[1]}").status == 404
    with app.app_context():
        later = make_desk(db.session.get_one(Office, town.office_id), key="economy")
        make_hours(make_counter(later), 0, 540, 720)
        db.session.commit()
        later_id = later.id

    assert cleo.get(f"{TODAY}{later_id}").status == 200


@pytest.mark.parametrize("where", ["agenda", "week", "queue", "day list"])
def test_one_who_leads_another_office_finds_nothing_here(
    app: Flask, town: Town, annex: tuple[int, int], where: str
) -> None:
    paths = {
        "agenda": f"{TODAY}{town.desk_id}",
        "week": f"/testdorp/staff/week/{town.desk_id}/2026-11-23",
        "queue": f"/testdorp/staff/queue/{town.desk_id}",
        "day list": f"/testdorp/staff/day/{town.desk_id}/2026-11-23/csv",
    }
    assert signed_in(app, "olga").get(paths[where]).status == 200
    assert signed_in(app, "otto").get(paths[where]).status == 404


def test_every_route_of_the_administration_of_one_office_is_closed_to_the_manager_of_another(
    app: Flask, town: Town, annex: tuple[int, int]
) -> None:
    """Whatever has the number 1 is of the first office, of its desk, or of the municipality."""
    otto = signed_in(app, "otto")
    token = otto.get("/testdorp/staff/feeds").forms[0].values["csrf_token"]
    tried = [
        (method, path)
        for kind in ("office", "desk", "counter", "service")
        for method, path in addresses(app, kind=kind, id="1", office_id="1", desk_id="1")
        if "1" in path.split("/")
    ]
    assert len(tried) > 20
    for method, path in sorted(set(tried)):
        values = {"csrf_token": token, "typed": "x", "count": "1"}
        page = otto.get(f"/testdorp{path}") if method == "GET" else otto.post(f"/testdorp{path}", values)
        assert page.status == 404, (method, path, page.status)


def test_a_manager_of_an_office_has_its_desks_and_counters_and_nothing_of_the_municipality(
    app: Flask, town: Town, annex: tuple[int, int]
) -> None:
    olga = signed_in(app, "olga")

    page = olga.get(f"{ADMIN}/offices")

    assert f"{ADMIN}/offices/{town.office_id}" in page.links and f"{ADMIN}/offices/{annex[0]}" not in page.links
    assert "Add an office" not in page.text and olga.get(f"{ADMIN}/offices/new").status == 404
    office = olga.get(f"{ADMIN}/offices/{town.office_id}")
    assert office.status == 200 and "Remove this office" not in office.text
    assert olga.get(f"{ADMIN}/remove/office/{town.office_id}").status == 404
    assert olga.get(f"{ADMIN}/remove/desk/{town.desk_id}").status == 200
    made = olga.post(
        f"{ADMIN}/desks/{town.desk_id}/counters",
        {"csrf_token": office.forms[0].values["csrf_token"], "count": "1"},
    )
    assert made.status == 303
    for closed in ("services", "staff", "town", "exchange", "closures/holidays"):
        assert olga.get(f"{ADMIN}/{closed}").status == 404


def test_an_administrator_gives_other_roles_at_other_places(app: Flask, town: Town, annex: tuple[int, int]) -> None:
    ann, mia = signed_in(app, "ann"), account_of(app, "mia")
    roles = {f"role-office-{town.office_id}": "clerk", f"role-desk-{annex[1]}": "lead"}

    assert fill_account(ann, mia, "", **roles).status == 303

    visitor = signed_in(app, "mia")
    assert visitor.get(f"/testdorp/staff/queue/{annex[1]}").status == 200
    assert visitor.get(f"/testdorp/staff/queue/{town.desk_id}").status == 404  # a clerk there
    assert visitor.get(f"{TODAY}{town.desk_id}").status == 200
    shown = ann.get(f"{ADMIN}/staff").text
    assert "Clerk (" in shown and "Lead (" in shown
    assert fill(ann, "/staff/new", name="Nora", email="nora@testdorp.example.org", language="en").status == 422


def test_ones_own_calendar_holds_the_desks_of_ones_office(app: Flask, town: Town, annex: tuple[int, int]) -> None:
    with app.app_context():
        cleo = db.session.scalars(select(Staff).where(Staff.email.startswith("cleo"))).one()
        db.session.add(Feed(municipality_id=town.municipality_id, staff_id=cleo.id, name="Cleo", made_at=MONDAY))
        db.session.commit()
        here = standing("testdorp")
        assert here is not None

        (mine,) = subscriptions(here[0])

        assert scope_of(mine, here[0]).counter_ids == set(town.counter_ids)


def test_the_export_says_where_each_role_holds(app: Flask, town: Town, annex: tuple[int, int]) -> None:
    with app.app_context():
        content = b"".join(archive(town.municipality_id))
    text = zipfile.ZipFile(io.BytesIO(content)).read("staff.csv").decode()

    (olga,) = [line for line in text.splitlines() if line.startswith("olga")]
    (dora,) = [line for line in text.splitlines() if line.startswith("dora")]
    assert "manager Stadhuis," in olga and "manager Stadhuis/civil," in dora


def test_the_database_refuses_a_role_at_two_places_or_twice_in_an_office(app: Flask, town: Town) -> None:
    with app.app_context():
        staff = make_staff(town.municipality_id, "pia@testdorp.example.org", office_id=town.office_id)
        db.session.commit()
        id = staff.id
    for place in (Place(town.desk_id, town.office_id), Place(office_id=town.office_id)):
        with app.app_context(), pytest.raises(IntegrityError):
            grant(db.session.get_one(Staff, id), Role.CLERK, place)
