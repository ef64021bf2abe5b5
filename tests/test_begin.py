"""The first start: from an empty database to the first bookable time, by one page."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select

from booking import links
from booking.db import db
from booking.townhall.models import Municipality
from tests.conftest import KEYS
from tests.factories import PASSWORD, Town
from tests.pages import Page, Visitor

pytestmark = pytest.mark.townhall

ADDRESS = f"/begin/{links.token(KEYS, 'begin', 0, 0)}"
TYPED = {
    "name": "Nieuwdorp",
    "slug": "nieuwdorp",
    "languages": ["nl", "fr"],
    "language": "nl",
    "country": "BE",
    "zone": "Europe/Brussels",
    "phone": "015 12 34 56",
    "email": "info@nieuwdorp.example.org",
    "address": "Dorpsplein 1, 2899 Nieuwdorp",
    "desk": "Burgerzaken",
    "counters": "2",
    "service": "Reispas",
    "minutes": "15",
    "your_name": "Nora",
    "your_email": "nora@nieuwdorp.example.org",
    "password": PASSWORD,
}


def sent(visitor: Visitor, **typed: object) -> Page:
    form = next(form for form in visitor.get(ADDRESS).forms if "slug" in form.values)
    return visitor.post(ADDRESS, {**form.values, **TYPED, **typed})


def test_a_new_town_is_open_after_one_page(app: Flask) -> None:
    visitor = Visitor(app)

    page = visitor.follow(sent(visitor))

    assert page.status == 200 and "Reispas" in page.text
    assert any(name == "slot" for form in page.forms for name, _value in form.buttons)
    owner = Visitor(app)
    assert owner.sign_in("nieuwdorp", "nora@nieuwdorp.example.org", PASSWORD).status == 303
    assert owner.get("/nieuwdorp/staff/admin/town").status == 200


def test_the_page_speaks_the_language_of_the_browser(app: Flask) -> None:
    text = Visitor(app).get(ADDRESS, **{"Accept-Language": "de-DE"}).text

    assert "Ein neues Rathaus" in text
    assert "Belgien" in text


def test_the_page_is_there_once_and_with_its_link_only(app: Flask) -> None:
    visitor = Visitor(app)
    assert visitor.get("/begin/0-0-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").status == 404
    form = next(form for form in visitor.get(ADDRESS).forms if "slug" in form.values)
    assert visitor.post(ADDRESS, {**form.values, **TYPED}).status == 303

    assert visitor.get(ADDRESS).status == 404
    assert visitor.post(ADDRESS, {**form.values, **TYPED, "slug": "second"}).status == 404
    with app.app_context():
        assert len(db.session.scalars(select(Municipality)).all()) == 1


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"slug": "static"}, "Enter a short name"),
        ({"slug": "Nieuw Dorp!"}, "Enter a short name"),
        ({"languages": []}, "Tick one language"),
        ({"language": "de"}, "Choose one of the languages"),
        ({"password": "short"}, "Take 12 characters at least"),
        ({"minutes": "7"}, "a multiple of five"),
        ({"week-0": "early"}, "Write hours like 9-12"),
    ],
)
def test_what_cannot_work_is_refused(app: Flask, typed: dict[str, object], words: str) -> None:
    page = sent(Visitor(app), **typed)

    assert page.status == 422
    assert words in page.text


def test_the_command_prints_the_address_while_nothing_is_there(app: Flask) -> None:
    assert ADDRESS in app.test_cli_runner().invoke(args=["begin"]).output


def test_the_command_refuses_when_a_town_is_there(app: Flask, town: Town) -> None:
    answer = app.test_cli_runner().invoke(args=["begin"])

    assert answer.exit_code == 2 and "There is a municipality already" in answer.output
