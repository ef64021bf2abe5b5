"""Import in the browser with a dry run that says how far it is, and export of everything; the same by command."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from booking.appointments.models import Appointment
from booking.db import db
from booking.exchange import archive
from booking.exchange.models import Upload
from booking.staff.models import AuditLine, Role, Staff
from booking.townhall.catalogue import read_catalogue, written
from booking.townhall.models import Counter, CounterService, Desk, Municipality, Office, OpeningHours, Service
from booking.web.security import LARGEST
from booking.worker import run_step
from tests.conftest import Clock
from tests.factories import LANGUAGES, PASSWORD, Town, make_desk, make_staff, make_town
from tests.pages import Form, Page, Visitor
from tests.test_admin import ADMIN
from tests.test_planning import FRIDAY
from tests.test_staff_pages import appointment, signed_in

pytestmark = pytest.mark.townhall

CATALOGUE = (Path(__file__).parent.parent / "booking" / "demo" / "services.csv").read_bytes()


def send(visitor: Visitor, content: bytes) -> Page:
    """Sends a file to look at."""
    form = next(form for form in visitor.get(f"{ADMIN}/exchange").forms if "file" in form.values)
    return visitor.post(form.action, {**form.values, "file": (io.BytesIO(content), "a file.csv")})


def answer(page: Page) -> Form:
    """The form of a page that shows what would change."""
    return next(form for form in page.forms if "upload" in form.values)


@pytest.fixture
def desks(app: Flask, town: Town) -> None:
    with app.app_context():
        office = db.session.get_one(Municipality, town.municipality_id).offices[0]
        make_desk(office, "building")
        make_desk(office, "economy")
        db.session.commit()


def count(app: Flask, model: type[Service | Upload | AuditLine]) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(model)) or 0


def exported(app: Flask, town: Town) -> dict[str, str]:
    """The files of the export, by name."""
    ann = signed_in(app, "ann")
    data = ann.send(ann.get(f"{ADMIN}/exchange").form("/export")).response.data
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name).decode("utf-8-sig") for name in file.namelist()}


def test_a_dry_run_shows_the_differences_and_how_far_it_is(
    app: Flask, town: Town, management: None, desks: None
) -> None:
    ann = signed_in(app, "ann")

    page = send(ann, CATALOGUE)

    assert "104 new, 0 changed, 0 as they are." in page.text and "eid_apply : new" in page.text
    assert [f"{percent} %" in page.text for percent in (5, 50, 95, 100)] == [True] * 4
    assert count(app, Service) == 2


def test_what_was_looked_at_is_imported_without_choosing_it_again(
    app: Flask, town: Town, management: None, desks: None
) -> None:
    ann = signed_in(app, "ann")
    form = answer(send(ann, CATALOGUE))

    page = ann.send(form)

    assert "All of it is imported." in page.text and count(app, Service) == 106
    assert count(app, Upload) == 0
    again = ann.send(form)
    assert again.status == 422 and "Choose the file once more" in again.text
    assert "Nothing differs" in send(ann, CATALOGUE).text
    with app.app_context():
        line = db.session.scalars(select(AuditLine).where(AuditLine.action == "import")).one()
        assert line.details == {"files": ["services"]}


def test_who_leaves_the_page_stops_the_import_and_nothing_is_left_of_it(
    app: Flask, town: Town, management: None, desks: None
) -> None:
    ann = signed_in(app, "ann")
    form = answer(send(ann, CATALOGUE))
    before = count(app, AuditLine)

    going = ann.client.post(form.action, data=form.values, buffered=False)
    drawn = ""
    for part in going.iter_encoded():
        drawn += part.decode()
        if 'value="50"' in drawn:
            break
    going.close()

    assert 'value="100"' not in drawn
    assert (count(app, Service), count(app, AuditLine), count(app, Upload)) == (2, before, 1)
    assert "All of it is imported." in ann.send(form).text


def test_what_breaks_in_the_middle_is_said_and_nothing_is_left_of_it(
    app: Flask, town: Town, management: None, desks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = signed_in(app, "ann")
    form = answer(send(ann, CATALOGUE))
    before = count(app, AuditLine)

    def breaks(*_given: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("booking.townhall.catalogue._serve", breaks)
    page = ann.send(form)

    assert "Nothing was imported, not even by half" in page.text
    assert (count(app, Service), count(app, AuditLine)) == (2, before)


def test_a_change_is_said_in_words(app: Flask, town: Town, management: None) -> None:
    with app.app_context():
        text = written(db.session.get_one(Municipality, town.municipality_id))
    changed = text.replace("Passport (fr)", "Passeport").replace("passport,civil,15", "passport,civil,20")

    page = send(signed_in(app, "ann"), changed.encode())

    assert "0 new, 1 changed, 1 as they are" in page.text
    assert "passport : minutes: 15 → 20; name_fr: Passport (fr) → Passeport" in page.text


def test_what_is_wrong_is_said_by_line_and_nothing_is_imported(app: Flask, town: Town, management: None) -> None:
    with app.app_context():
        text = written(db.session.get_one(Municipality, town.municipality_id))

    page = send(signed_in(app, "ann"), text.replace("wedding,civil,60", "wedding,civil,61").encode())

    assert page.status == 422
    assert "Line 3 (wedding): minutes is '61'" in page.text
    assert send(signed_in(app, "ann"), b"").status == 422


def test_a_file_that_is_too_large_is_refused_in_words(
    app: Flask, town: Town, management: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LARGEST, "admin.exchange_import", 2000)

    page = send(signed_in(app, "ann"), b"," * 2001)

    assert page.status == 413 and "Go back and send less." in page.text


def test_whom_new_hours_hit_is_decided_on_the_same_page(app: Flask, town: Town, management: None) -> None:
    id = appointment(app, town, start=FRIDAY)
    hours = exported(app, town)["hours.csv"].splitlines(keepends=True)
    content = "".join(line for line in hours if ",5,09:00" not in line).encode()
    ann = signed_in(app, "ann")

    page = send(ann, content)
    assert "The new hours hit 1 appointment" in page.text and "Zoë Janssens" in page.text
    done = ann.post(f"{ADMIN}/exchange/import", {**answer(page).values, "all": "keep"})

    assert "All of it is imported." in done.text
    change = ann.get(next(link for link in done.links if "/changes/" in link))
    assert "Zoë Janssens" in change.text
    with app.app_context():
        assert db.session.get_one(Appointment, id).is_exception
        assert db.session.scalar(select(func.count()).where(OpeningHours.until_on.is_not(None))) == 2


def test_an_upload_is_found_by_its_sender_only(app: Flask, town: Town, management: None, desks: None) -> None:
    with app.app_context():
        make_staff(town.municipality_id, "eve@testdorp.example.org", Role.ADMINISTRATOR)
        db.session.commit()
    form = answer(send(signed_in(app, "ann"), CATALOGUE))
    eve = signed_in(app, "eve")
    token = eve.get(f"{ADMIN}/exchange").form("/import").values["csrf_token"]

    page = eve.post(form.action, {**form.values, "csrf_token": token})

    assert page.status == 422 and count(app, Service) == 2


def test_an_upload_of_another_town_is_not_found(app: Flask, town: Town, management: None, desks: None) -> None:
    with app.app_context():
        other = make_town("elders")
        make_staff(other.municipality_id, "zed@elders.example.org", Role.ADMINISTRATOR)
        db.session.commit()
    form = answer(send(signed_in(app, "ann"), CATALOGUE))
    zed = Visitor(app)
    zed.sign_in("elders", "zed@elders.example.org", PASSWORD)
    token = zed.get("/elders/staff/admin/exchange").form("/import").values["csrf_token"]

    page = zed.post("/elders/staff/admin/exchange/import", {**form.values, "csrf_token": token})

    assert page.status == 422 and count(app, Service) == 4 and count(app, Upload) == 1


def test_a_file_reaches_no_other_town(app: Flask, town: Town, management: None) -> None:
    """The same names and numbers stand in both towns; the file of one changes that one only."""
    with app.app_context():
        make_town("elders")
        db.session.commit()
    files = exported(app, town)

    def seen(slug: str) -> list[tuple[object, ...]]:
        with app.app_context():
            rows = select(Counter.number, Desk.step_minutes, CounterService.service_id).select_from(Counter)
            rows = rows.join(Desk).join(Office).join(Municipality).outerjoin(CounterService)
            return sorted(tuple(row) for row in db.session.execute(rows.where(Municipality.slug == slug)))

    before = seen("elders")
    ann = signed_in(app, "ann")
    for name, old, new in (("desks", ",5,0,", ",15,0,"), ("counters", "passport; wedding", "wedding")):
        page = ann.send(answer(send(ann, files[f"{name}.csv"].replace(old, new).encode())))
        assert "All of it is imported." in page.text, name

    assert seen("elders") == before
    assert [row[:2] for row in seen("testdorp")] == [(1, 15), (2, 15)]


def test_a_file_that_nobody_imports_is_gone_the_next_day(
    app: Flask, town: Town, management: None, desks: None, clock: Clock
) -> None:
    send(signed_in(app, "ann"), CATALOGUE)
    run_step(app, "tidying")
    assert count(app, Upload) == 1

    clock.advance(days=1)
    run_step(app, "tidying")

    assert count(app, Upload) == 0


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

    texts = exported(app, town)

    on_top = {"offices", "desks", "counters", "services", "hours", "staff", "closures", "appointments"}
    tables = {f"tables/{table.name}" for table in archive.tables()}
    assert {name.removesuffix(".csv") for name in texts} == on_top | tables
    secrets = ("Zoe", "z@example.org", "argon2", "203.0.113.5")
    assert not [name for name, text in texts.items() if any(secret in text for secret in secrets)]
    rows = list(csv.DictReader(io.StringIO(texts["appointments.csv"])))
    assert [(row["service"], row["people"], row["state"]) for row in rows] == [("passport", "2", "booked")]
    assert len(list(csv.DictReader(io.StringIO(texts["tables/opening_hours.csv"])))) == 20
    assert len(list(csv.DictReader(io.StringIO(texts["tables/booking.csv"])))) == 1
    with app.app_context():
        assert db.session.scalar(select(AuditLine.id).where(AuditLine.action == "export"))


def test_only_administrators_take_and_bring_files(app: Flask, town: Town, management: None) -> None:
    mia = signed_in(app, "mia")
    assert mia.get(f"{ADMIN}/exchange").status == 404
    token = mia.get(f"{ADMIN}/hours").forms[0].values["csrf_token"]
    assert mia.post(f"{ADMIN}/exchange/import", {"csrf_token": token, "upload": "1"}).status == 404


def test_a_command_writes_everything_and_reads_it_again(
    app: Flask, town: Town, management: None, tmp_path: Path
) -> None:
    run, file = app.test_cli_runner().invoke, str(tmp_path / "town.zip")

    assert run(args=["town", "export", file]).exit_code == 0
    done = run(args=["town", "import", file, "--as", "ann@testdorp.example.org"])

    assert done.exit_code == 0, done.stderr
    assert "hours: 0 new, 0 changed, 20 as they were.\n" in done.stdout


def test_a_command_says_what_would_change_and_asks_what_becomes_of_whom_it_hits(
    app: Flask, town: Town, management: None, tmp_path: Path
) -> None:
    id = appointment(app, town, start=FRIDAY)
    hours = exported(app, town)["hours.csv"].splitlines(keepends=True)
    file = tmp_path / "hours.csv"
    file.write_text("".join(line for line in hours if ",5,09:00" not in line))
    command = ["town", "import", str(file), "--as", "Ann@testdorp.example.org"]
    run = app.test_cli_runner().invoke

    dry, refused = run(args=[*command, "--dry-run"]), run(args=command)
    stranger = run(args=[*command[:-1], "mia@testdorp.example.org"])
    done = run(args=[*command, "--hits", "keep"])

    assert "  Stadhuis, civil, 1: no longer: Fr 09:00-12:00" in dry.stdout
    assert "New hours would hit 1 appointment(s)." in dry.stdout
    assert refused.exit_code == 2 and "--hits" in refused.stderr
    assert stranger.exit_code == 2 and "is no administrator" in stranger.stderr
    assert done.exit_code == 0
    with app.app_context():
        assert db.session.get_one(Appointment, id).is_exception
        assert db.session.scalars(select(Staff.email)).first()


def test_a_command_names_what_is_wrong(app: Flask, town: Town, management: None, tmp_path: Path) -> None:
    file = tmp_path / "counters.csv"
    file.write_text("office,desk,counter\nStadhuis,civil,none\n")

    done = app.test_cli_runner().invoke(args=["town", "import", str(file), "--as", "ann@testdorp.example.org"])

    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == "Nothing was imported: 1 problem(s) in counters.csv."
