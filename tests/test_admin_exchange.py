"""Import of the catalogue with a dry run, and export of everything."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from booking.db import db
from booking.staff.models import AuditLine
from booking.townhall.catalogue import read_catalogue, written
from booking.townhall.models import Municipality, Service
from tests.factories import LANGUAGES, Town, make_desk
from tests.pages import Page, Visitor
from tests.test_admin import ADMIN
from tests.test_staff_pages import appointment, signed_in

pytestmark = pytest.mark.townhall

CATALOGUE = Path(__file__).parent.parent / "booking" / "demo" / "services.csv"


def send(visitor: Visitor, content: bytes, **typed: str) -> Page:
    form = visitor.get(f"{ADMIN}/exchange").form("/services")
    return visitor.post(form.action, {**form.values, **typed, "file": (io.BytesIO(content), "services.csv")})


@pytest.fixture
def desks(app: Flask, town: Town) -> None:
    with app.app_context():
        office = db.session.get_one(Municipality, town.municipality_id).offices[0]
        make_desk(office, "building")
        make_desk(office, "economy")
        db.session.commit()


def count(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(Service)) or 0


def test_a_dry_run_shows_the_differences_and_changes_nothing(
    app: Flask, town: Town, management: None, desks: None
) -> None:
    ann = signed_in(app, "ann")

    page = send(ann, CATALOGUE.read_bytes())

    assert "104 added, 0 changed, 0 as they are. Nothing is imported yet." in page.text
    assert "eid_apply : new" in page.text
    assert count(app) == 2
    assert send(ann, CATALOGUE.read_bytes(), **{"import": "yes"}).status == 303
    assert count(app) == 106


def test_a_change_is_named_by_its_columns(app: Flask, town: Town, management: None) -> None:
    with app.app_context():
        text = written(db.session.get_one(Municipality, town.municipality_id))
    changed = text.replace("Passport (fr)", "Passeport").replace("passport,civil,15", "passport,civil,20")

    page = send(signed_in(app, "ann"), changed.encode())

    assert "0 added, 1 changed, 1 as they are" in page.text
    assert "passport : minutes, name_fr" in page.text


def test_what_is_wrong_is_said_by_line_and_nothing_is_imported(app: Flask, town: Town, management: None) -> None:
    with app.app_context():
        text = written(db.session.get_one(Municipality, town.municipality_id))

    page = send(
        signed_in(app, "ann"), text.replace("wedding,civil,60", "wedding,civil,61").encode(), **{"import": "yes"}
    )

    assert page.status == 422
    assert "Line 3 (wedding): minutes is '61'" in page.text
    assert send(signed_in(app, "ann"), b"").status == 422


def test_the_export_of_the_catalogue_can_be_imported_again(app: Flask, town: Town) -> None:
    with app.app_context():
        text = written(db.session.get_one(Municipality, town.municipality_id))

    rows = read_catalogue(text.encode(), LANGUAGES, ["civil"])

    assert [row.values["key"] for row in rows] == ["passport", "wedding"]
    assert rows[0].texts["fr"]["bring"] == ["identity card"]


def test_a_formula_in_a_text_is_harmless_in_the_file_and_comes_back_as_it_was(app: Flask, town: Town) -> None:
    said = ['=HYPERLINK("http://evil.example")', "+1", "-1", "@A1", "'=A1", "'s avonds", "plain"]
    with app.app_context():
        service = db.session.get_one(Service, town.passport_id)
        for text in said:
            service.texts[0].summary = text
            content = written(db.session.get_one(Municipality, town.municipality_id))
            language = service.texts[0].language
            cell = next(csv.DictReader(io.StringIO(content)))[f"summary_{language}"]

            assert not cell.startswith(("=", "+", "-", "@"))
            assert read_catalogue(content.encode(), LANGUAGES, ["civil"])[0].texts[language]["summary"] == text


def test_everything_is_exported_without_persons(app: Flask, town: Town, management: None) -> None:
    appointment(app, town, name="=Zoe")
    ann = signed_in(app, "ann")

    answer = ann.send(ann.get(f"{ADMIN}/exchange").form("/export")).response

    with zipfile.ZipFile(io.BytesIO(answer.data)) as file:
        names = set(file.namelist())
        texts = {name: file.read(name).decode("utf-8-sig") for name in names}
    tables = {"counters", "hours", "closures", "who_does_what", "staff", "appointments", "services"}
    assert names == {f"{name}.csv" for name in tables}
    assert not any("Zoe" in text or "z@example.org" in text or "argon2" in text for text in texts.values())
    rows = list(csv.DictReader(io.StringIO(texts["appointments.csv"])))
    assert [(row["service"], row["people"], row["state"]) for row in rows] == [("passport", "2", "booked")]
    assert len(list(csv.DictReader(io.StringIO(texts["hours.csv"])))) == 20
    with app.app_context():
        assert db.session.scalar(select(AuditLine.id).where(AuditLine.action == "export"))


def test_only_administrators_take_everything(app: Flask, town: Town, management: None) -> None:
    assert signed_in(app, "mia").get(f"{ADMIN}/exchange").status == 404
