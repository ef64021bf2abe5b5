"""Every page of a citizen, in every state and language, read by the HTML checker of the W3C."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from booking.config import ROOT
from booking.db import db
from booking.townhall.models import Desk, Municipality, Service
from booking.townhall.revisions import raise_town
from tests.conftest import MONDAY
from tests.factories import LANGUAGES, Town
from tests.pages import Page, Visitor
from tests.test_questions import TREE

pytestmark = [pytest.mark.citizen, pytest.mark.slow]

CHECKER = ROOT / "tests" / "node_modules" / "vnu-jar" / "build" / "dist" / "vnu.jar"
NOBODY = {"name": "A. Peeters", "reach": "none", "email": "", "phone": ""}


def states(app: Flask, language: str) -> Iterator[tuple[str, Page]]:
    """The pages by name: looking for a time, choosing, filling in, booked, moved, cancelled, and what goes wrong."""
    visitor, base = Visitor(app), f"/testdorp/{language}"
    looking = ("/", "/services", "/services?q=passport", "/services?q=xyz", "/services?desk=civil", "/find", "/nothing")
    times = ("", "?people=2", "?month=2026-12", "?at=evening", "?a=1&a=1", "/questions", "/questions?a=2&step=1")
    for path in (*looking, "/accessibility", *(f"/service/passport{one}" for one in times)):
        yield path, visitor.get(f"{base}{path}")
    yield "services of a visit", visitor.get(f"{base}/visit/add?service=passport.1")
    yield "visit", visitor.get(f"{base}/visit?service=passport.1&service=wedding.1")
    yield "not found", visitor.send(visitor.get(f"{base}/find").form("/find"), reference="", code="")
    details = visitor.follow(visitor.press(visitor.get(f"{base}/service/passport").form("/hold")))
    yield "details", details
    yield "errors", visitor.send(details.forms[-1], name="", reach="both", email="x", phone="y")
    own = visitor.follow(visitor.send(details.forms[-1], **NOBODY))
    yield "booked", own
    move = visitor.get(own.link("/move"))
    yield "move", move
    moved = visitor.follow(visitor.press(move.form("/move"), 3))
    yield "moved", moved
    cancel = visitor.get(moved.link("/cancel"))
    yield "cancel", cancel
    yield "cancelled", visitor.follow(visitor.send(cancel.form("/cancel")))


def states_of_a_crowd(app: Flask, town: Town, language: str) -> Iterator[tuple[str, Page]]:
    """The form that asks for a proof of work, and the line while it is open: before it, in it, and for a visit."""
    with app.app_context():
        row = db.session.get_one(Municipality, town.municipality_id)
        raise_town(row, MONDAY)
        row.asks_proof = True
        db.session.get_one(Desk, town.desk_id).crowd_size = 1
        db.session.commit()
    visitor, base = Visitor(app), f"/testdorp/{language}"
    yield "proof", visitor.follow(visitor.press(visitor.get(f"{base}/service/wedding").form("/hold")))
    waiting = Visitor(app)
    line = waiting.get(f"{base}/service/passport")
    yield "line", line
    waiting.send(line.form("/line"))
    yield "in line", waiting.get(f"{base}/service/passport")
    yield "visit in line", waiting.get(f"{base}/visit?service=passport.1&service=wedding.1")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_html_checker_finds_no_error(app: Flask, town: Town, tmp_path: Path, language: str) -> None:
    java = shutil.which("java")
    assert java, "Java is not installed. Run: sudo apt-get install default-jre-headless"
    with app.app_context():
        for text in db.session.get_one(Service, town.passport_id).texts:
            text.questions = TREE
        raise_town(db.session.get_one(Municipality, town.municipality_id), MONDAY)
        db.session.commit()
    folder, names = tmp_path / "pages", {}
    folder.mkdir()
    for number, (name, page) in enumerate([*states(app, language), *states_of_a_crowd(app, town, language)]):
        (folder / f"{number}.html").write_bytes(page.response.data)
        names[f"{number}.html"] = name

    checker = [java, "-Xmx400m", "-jar", str(CHECKER), "--format", "json", "--errors-only", str(folder)]
    answer = subprocess.run(checker, check=False, capture_output=True, text=True, timeout=600)

    found = json.loads(answer.stderr)["messages"]
    assert len(names) >= 20
    assert not [(names[Path(one["url"]).name], one["message"], one.get("extract")) for one in found]
