"""Every route of the administration, tried by roles that must not get in; every route of staff, across the border."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import func, select

from booking.db import Base, db
from booking.staff.models import Role
from tests.factories import PASSWORD, Town, make_staff, make_town
from tests.pages import Visitor
from tests.test_guards import SAMPLES, rules
from tests.test_staff_pages import appointment, signed_in

pytestmark = pytest.mark.townhall

KINDS = ("office", "desk", "counter", "service")


@pytest.fixture
def people(app: Flask, town: Town) -> None:
    """A clerk and a lead of all desks, who manage nothing; Zed administers another town."""
    with app.app_context():
        make_staff(town.municipality_id, "clerk@testdorp.example.org", Role.CLERK)
        make_staff(town.municipality_id, "lead@testdorp.example.org", Role.LEAD)
        other = make_town("elders")
        make_staff(other.municipality_id, "zed@elders.example.org", Role.ADMINISTRATOR)
        db.session.commit()


def addresses(app: Flask, prefixes: tuple[str, ...] = ("admin.",), **samples: str) -> Iterator[tuple[str, str]]:
    """The method and path of every route of the administration, with the samples for its arguments."""
    for rule in rules(app):
        if rule.endpoint.startswith(prefixes):
            path = rule.rule
            for argument in rule.arguments:
                text = samples.get(argument, SAMPLES.get(argument, "1"))
                path = path.replace(f"<int:{argument}>", text).replace(f"<{argument}>", text)
            for method in (rule.methods or set()) & {"GET", "POST"}:
                yield method, path


@pytest.mark.parametrize("who", ["clerk", "lead"])
def test_who_manages_nothing_finds_no_page(app: Flask, town: Town, people: None, who: str) -> None:
    visitor = signed_in(app, who)
    token = visitor.get("/testdorp/staff/feeds").forms[0].values["csrf_token"]

    tried = list(addresses(app))

    assert len(tried) > 20
    for method, path in tried:
        page = (
            visitor.get(f"/testdorp{path}")
            if method == "GET"
            else visitor.post(f"/testdorp{path}", {"csrf_token": token})
        )
        assert page.status == 404, (method, path)


def rows_of_all_tables() -> dict[str, int]:
    return {
        name: db.session.scalar(select(func.count()).select_from(table)) or 0
        for name, table in Base.metadata.tables.items()
        if name not in ("attempt", "audit_line")
    }


def test_no_id_of_another_town_is_found_nor_changed(app: Flask, town: Town, people: None) -> None:
    """Zed may do anything in his own town. Number 1 of every kind belongs to the town that was made first."""
    zed = Visitor(app)
    assert zed.sign_in("elders", "zed@elders.example.org", PASSWORD).status == 303
    token = zed.get("/elders/staff/feeds").forms[0].values["csrf_token"]
    appointment(app, town)
    with app.app_context():
        before = rows_of_all_tables()
    tried = {
        one
        for kind in KINDS
        for one in addresses(app, ("admin.", "staff."), kind=kind, id="1", office_id="1", desk_id="1")
        if "1" in one[1].split("/")
    }
    assert len(tried) > 20
    for method, path in sorted(tried):
        page = (
            zed.get(f"/elders{path}")
            if method == "GET"
            else zed.post(f"/elders{path}", {"csrf_token": token, "typed": "x", "count": "1"})
        )
        assert page.status == 404, (method, path, page.status)
    with app.app_context():
        assert rows_of_all_tables() == before
