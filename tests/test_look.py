"""The colour of a municipality, and what several municipalities have in common: one list of services."""

from __future__ import annotations

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from booking.db import db
from booking.townhall.look import BLACK, LEAST, WHITE, colour, contrast, style_sheet
from booking.townhall.models import Municipality
from tests.factories import Town, make_town
from tests.pages import Visitor
from tests.test_admin import fill
from tests.test_staff_pages import signed_in

pytestmark = pytest.mark.townhall


def test_contrast_is_counted_as_the_guidelines_do() -> None:
    assert contrast(BLACK, WHITE) == pytest.approx(21)
    assert contrast(colour("#767676"), WHITE) == pytest.approx(4.54, abs=0.01)
    assert contrast(colour("#777777"), WHITE) < LEAST


@given(st.integers(0, 0xFFFFFF))
def test_every_colour_has_a_readable_one_for_the_dark(number: int) -> None:
    sheet = style_sheet(f"#{number:06x}")

    dark = sheet.split("dark", 1)[1].split("--look-accent: ", 1)[1][:7]
    assert contrast(colour(dark), BLACK) >= 7


def test_a_town_gets_its_colour(app: Flask, town: Town, management: None) -> None:
    ann = signed_in(app, "ann")
    assert Visitor(app).get("/testdorp/look.css").status == 404

    assert fill(ann, "/town", accent="#12594d").status == 303

    page = Visitor(app).get("/testdorp/en/").response.get_data(as_text=True)
    assert "/testdorp/look.css?v=12594d" in page
    assert "--look-accent: #12594d" in Visitor(app).get("/testdorp/look.css").response.get_data(as_text=True)


@pytest.mark.parametrize(("typed", "words"), [("#ffcc00", "its contrast is 1.5"), ("green", "Enter a colour like")])
def test_a_colour_that_cannot_be_read_is_refused(
    app: Flask, town: Town, management: None, typed: str, words: str
) -> None:
    page = fill(signed_in(app, "ann"), "/town", accent=typed)

    assert page.status == 422
    assert words in page.text


def test_who_does_not_know_the_authority_looks_in_all(app: Flask, town: Town) -> None:
    with app.app_context():
        make_town("elders")
        db.session.commit()

    page = Visitor(app).get("/?q=passport")

    assert "2 services found" in page.text
    assert {link for link in page.links if link.endswith("/en/service/passport")} == {
        "http://localhost:8000/testdorp/en/service/passport",
        "http://localhost:8000/elders/en/service/passport",
    }
    assert "Elders" in page.text and "Testdorp" in page.text
    with app.app_context():
        assert db.session.get_one(Municipality, town.municipality_id).accent is None
