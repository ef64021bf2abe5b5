"""The catalogue of services: a file is imported whole or not at all, and every wrong row is named with its line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import event, func, select

from booking.config import ROOT
from booking.db import Base, begin_write, db
from booking.townhall.catalogue import Outcome, import_catalogue, read_catalogue
from booking.townhall.models import Counter, CounterService, Desk, Municipality, Office, Service, ServiceText
from booking.townhall.reminding import said
from booking.townhall.sheets import SheetError
from tests.conftest import MONDAY
from tests.factories import LANGUAGES, Town, make_counter, make_desk, make_municipality

pytestmark = pytest.mark.townhall

REAL = (ROOT / "booking" / "demo" / "services.csv").read_bytes()
DESKS = ("building", "civil", "economy")
PLAIN = {
    "key": "passport",
    "desk": "civil",
    "minutes": "15",
    "extra_person_minutes": "10",
    "max_people": "4",
    "in_person": "yes",
    "walk_in": "no",
    "online": "no",
    "sensitive": "no",
    "fee_eur": "65.00",
    "min_notice_hours": "2",
    "max_days_ahead": "60",
}


def row(**changes: str) -> dict[str, str]:
    """A right row, but for the changes."""
    texts = {}
    for language in LANGUAGES:
        texts[f"name_{language}"] = f"Passport ({language})"
        texts[f"summary_{language}"] = "You apply for a passport."
        texts[f"who_{language}"] = "You come yourself."
        texts[f"bring_{language}"] = "identity card; photo"
        texts[f"words_{language}"] = "passport; travel"
    return {**PLAIN, **texts, **changes}


def a_file(*rows: dict[str, str]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def problems_of(content: bytes) -> list[str]:
    with pytest.raises(SheetError) as refusal:
        read_catalogue(content, LANGUAGES, DESKS)
    return refusal.value.problems


def with_all_desks(town: Town) -> Municipality:
    """The town, which has a civil registry, gets a counter for building and one for economy. Begins to write."""
    db.session.rollback()
    begin_write()
    office = db.session.get_one(Office, town.office_id)
    for key in ("building", "economy"):
        make_counter(make_desk(office, key))
    db.session.commit()
    begin_write()
    return db.session.get_one(Municipality, town.municipality_id)


def counts() -> dict[str, int]:
    tables = (Service, ServiceText, CounterService)
    return {one.__tablename__: db.session.scalar(select(func.count()).select_from(one)) or 0 for one in tables}


@contextmanager
def writes() -> Iterator[list[str]]:
    """The tables that are written, in their order."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        verb, *words = statement.split()
        if verb in ("INSERT", "UPDATE", "DELETE"):
            seen.append(next(word for word in words if word in Base.metadata.tables))

    event.listen(db.engine, "before_cursor_execute", note)
    yield seen
    event.remove(db.engine, "before_cursor_execute", note)


def test_the_real_catalogue_brings_104_services_in_four_languages(context: Flask, town: Town) -> None:
    before, municipality = counts(), with_all_desks(town)

    outcome = import_catalogue(municipality, REAL, MONDAY)
    db.session.commit()

    assert outcome == Outcome(added=104, changed=0, unchanged=0)
    after = counts()
    assert after["service"] - before["service"] == 104
    assert after["service_text"] - before["service_text"] == 4 * 104
    eid = db.session.scalars(select(Service).where(Service.key == "eid_apply")).one()
    assert (eid.minutes, eid.fee, eid.text("de").name) == (
        15,
        Decimal("25.00"),
        "Personalausweis (eID) beantragen",
    )
    assert eid.text("nl").bring[-1] == "bankkaart"


def test_a_new_service_is_served_by_all_counters_of_its_desk(context: Flask, town: Town) -> None:
    import_catalogue(with_all_desks(town), a_file(row(key="permit", desk="building"), row(key="eid")), MONDAY)
    db.session.commit()

    served = select(Service.key, Desk.key).join(CounterService, CounterService.service_id == Service.id)
    served = served.join(Counter, Counter.id == CounterService.counter_id).join(Desk)
    found = db.session.execute(served.where(Service.key.in_(["permit", "eid"])).order_by(Service.key, Counter.id)).all()
    assert [tuple(one) for one in found] == [("eid", "civil"), ("eid", "civil"), ("permit", "building")]


def test_importing_twice_changes_nothing(context: Flask, town: Town) -> None:
    import_catalogue(with_all_desks(town), REAL, MONDAY)
    db.session.commit()
    begin_write()
    municipality = db.session.get_one(Municipality, town.municipality_id)

    with writes() as written:
        outcome = import_catalogue(municipality, REAL, MONDAY)
        db.session.commit()

    assert outcome == Outcome(added=0, changed=0, unchanged=104)
    assert written == ["office", "municipality"]


@pytest.mark.parametrize(
    ("change", "table"),
    [({"minutes": "20"}, "service"), ({"fee_eur": ""}, "service"), ({"words_fr": "passeport; voyage"}, "service_text")],
)
def test_a_changed_row_changes_that_service_only(
    context: Flask, town: Town, change: dict[str, str], table: str
) -> None:
    import_catalogue(with_all_desks(town), a_file(row(key="eid"), row(key="licence")), MONDAY)
    db.session.commit()
    begin_write()
    municipality = db.session.get_one(Municipality, town.municipality_id)

    with writes() as written:
        outcome = import_catalogue(municipality, a_file(row(key="eid"), row(key="licence", **change)), MONDAY)
        db.session.commit()

    assert outcome == Outcome(added=0, changed=1, unchanged=1)
    assert written == ["office", "municipality", table]


def test_a_language_that_is_switched_on_later_is_added(context: Flask, town: Town) -> None:
    municipality = with_all_desks(town)
    municipality.languages = ["nl"]
    import_catalogue(municipality, a_file(row(key="eid")), MONDAY)
    municipality.languages = ["nl", "de"]

    outcome = import_catalogue(municipality, a_file(row(key="eid")), MONDAY)
    db.session.commit()

    assert outcome == Outcome(added=0, changed=1, unchanged=0)
    service = db.session.scalars(select(Service).where(Service.key == "eid")).one()
    assert {text.language for text in service.texts} == {"nl", "de"}


def test_another_town_keeps_its_own_services(context: Flask, town: Town) -> None:
    other = make_municipality("anderdorp")
    db.session.add(Service(municipality_id=other.id, key="eid", desk_key="civil", minutes=5, **OTHERWISE))
    db.session.commit()

    import_catalogue(with_all_desks(town), a_file(row(key="eid", minutes="30")), MONDAY)
    db.session.commit()

    services = db.session.scalars(select(Service).where(Service.key == "eid")).all()
    assert {one.municipality_id: one.minutes for one in services} == {other.id: 5, town.municipality_id: 30}


OTHERWISE = {
    "extra_person_minutes": 0,
    "max_people": 1,
    "in_person": "yes",
    "walk_in": "no",
    "online": "no",
    "is_sensitive": False,
    "min_notice_hours": 0,
    "max_days_ahead": 30,
}

WRONG = [
    ({"key": ""}, "key is ''; it must be a short name of letters, digits and underscores."),
    ({"key": "two words"}, "key is 'two words'; it must be a short name"),
    ({"key": "k" * 61}, "it must be a short name"),
    ({"desk": "weddings"}, "desk is 'weddings'; it must be one of building, civil, economy."),
    ({"desk": ""}, "desk is ''; it must be one of"),
    ({"minutes": "17"}, "minutes is '17'; it must be a whole number from 5 to 480, a multiple of 5."),
    ({"minutes": "0"}, "minutes is '0'"),
    ({"minutes": "485"}, "minutes is '485'"),
    ({"minutes": "-15"}, "minutes is '-15'"),
    ({"minutes": "15.0"}, "minutes is '15.0'"),
    ({"minutes": "¹⁵"}, "minutes is '¹⁵'"),
    ({"minutes": ""}, "minutes is ''"),
    ({"extra_person_minutes": "7"}, "extra_person_minutes is '7'"),
    ({"max_people": "0"}, "max_people is '0'; it must be a whole number from 1 to 20."),
    ({"max_people": "21"}, "max_people is '21'"),
    ({"in_person": "maybe"}, "in_person is 'maybe'; it must be one of yes, no."),
    ({"walk_in": "partly"}, "walk_in is 'partly'; it must be one of yes, sometimes, no."),
    ({"online": "sometimes"}, "online is 'sometimes'; it must be one of yes, partly, no."),
    ({"sensitive": "ja"}, "sensitive is 'ja'; it must be one of yes, no."),
    ({"fee_eur": "-1"}, "fee_eur is '-1'; it must be an amount in euros like 12.50"),
    ({"fee_eur": "-0.001"}, "fee_eur is '-0.001'"),
    ({"fee_eur": "12,50"}, "fee_eur is '12,50'"),
    ({"fee_eur": "12.505"}, "fee_eur is '12.505'"),
    ({"fee_eur": "NaN"}, "fee_eur is 'NaN'"),
    ({"fee_eur": "Infinity"}, "fee_eur is 'Infinity'"),
    ({"fee_eur": "1000000"}, "fee_eur is '1000000'"),
    ({"min_notice_hours": "soon"}, "min_notice_hours is 'soon'"),
    ({"max_days_ahead": "401"}, "max_days_ahead is '401'; it must be a whole number from 1 to 400."),
    ({"name_fr": " "}, "name_fr is empty; citizens would read nothing."),
    ({"who_de": ""}, "who_de is empty"),
    ({"name_nl": "n" * 161}, "name_nl is longer than 160 characters."),
    ({"bring_en": "identity card"}, "the bring lists have different numbers of items"),
]


@pytest.mark.parametrize(("change", "reason"), WRONG)
def test_a_wrong_row_is_named_with_its_line_and_its_reason(change: dict[str, str], reason: str) -> None:
    problems = problems_of(a_file(row(key="first"), row(**change), row(key="last")))

    assert len(problems) == 1
    assert problems[0].startswith(f"Line 3 ({change.get('key', 'passport') or 'no key'}): ")
    assert reason in problems[0]


def test_all_wrong_rows_are_named_at_once_and_then_nothing_is_imported(context: Flask, town: Town) -> None:
    municipality, before = with_all_desks(town), counts()
    rows = [row(**{"key": f"service_{n}", **change}) for n, (change, _) in enumerate(WRONG)]

    with pytest.raises(SheetError) as refusal:
        import_catalogue(municipality, a_file(row(key="right"), *rows), MONDAY)
    db.session.commit()

    lines = [int(problem.split()[1]) for problem in refusal.value.problems]
    assert lines == list(range(3, len(WRONG) + 3))
    assert counts() == before


def test_a_key_may_stand_in_the_file_once() -> None:
    assert problems_of(a_file(row(), row(key="eid"), row())) == ["Line 4 (passport): the key stands in line 2 already."]


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (b"key,desk", "Line 1: the column 'key' is missing."),
        (b"key,dessk", "Line 1: the column 'dessk' is not known; take it out or correct its name."),
        (b"key,key,desk", "Line 1: the column 'key' stands there twice."),
    ],
)
def test_a_wrong_column_is_named(header: bytes, problem: str) -> None:
    whole = a_file(row())
    other = header.replace(b"key,desk", b"desk") if b"missing" in problem.encode() else header

    assert problem in problems_of(whole.replace(b"key,desk", other, 1))


def test_texts_in_languages_that_are_not_on_are_not_read() -> None:
    rows = read_catalogue(a_file(row(name_fr="", source="council, 2026")), ("nl", "en"), DESKS)

    assert set(rows[0].texts) == {"nl", "en"}


def edited(content: bytes, old: bytes, new: bytes) -> bytes:
    assert content.count(old) == 1
    return content.replace(old, new)


TWO = a_file(row(key="eid"), row(key="licence", name_fr="Permis délivré"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "The file is empty; nothing was imported."),
        (b"\xef\xbb\xbf \r\n", "The file is empty; nothing was imported."),
        (TWO.splitlines(keepends=True)[0], "The file has a header but no services; nothing was imported."),
        (TWO.decode().encode("latin-1"), "Line 3: the file is not UTF-8. Save it as CSV UTF-8 and try again."),
        (TWO.decode().encode("utf-16"), "Line 1: the file is not UTF-8."),
        (a_file(row()).decode().encode("utf-16-le"), "Line 1: the file is not UTF-8."),
        (edited(TWO, b"licence", b"lic\x00ence"), "Line 3: the file is not UTF-8."),
        (edited(TWO, b"licence", b'"licence'), "Line 3: this is not valid CSV (unexpected end of data)."),
        (edited(TWO, b"licence", b'"lic"ence'), "Line 3: this is not valid CSV ("),
        (edited(TWO, b"licence,", b"licence,,"), "Line 3 (licence): it has more or fewer fields than the header"),
        (edited(TWO, b"licence,", b"licence"), "Line 3 (licencecivil): it has more or fewer fields than the header"),
    ],
)
def test_a_file_that_is_not_a_catalogue_is_refused_in_words(content: bytes, problem: str) -> None:
    problems = problems_of(content)

    assert len(problems) == 1
    assert problems[0].startswith(problem)


def test_semicolons_between_the_cells_are_read_as_well() -> None:
    """So spreadsheets save it in countries where the comma is for decimals."""
    text = io.StringIO()
    writer = csv.DictWriter(text, row().keys(), delimiter=";")
    writer.writeheader()
    writer.writerow(row(key="eid"))

    (read,) = read_catalogue(text.getvalue().encode(), LANGUAGES, DESKS)

    assert read.values["key"] == "eid" and read.texts["nl"]["bring"] == ["identity card", "photo"]


OWN = [
    ("usual", None),
    ("none", []),
    ("1 day 18:00 email", [{"occasion": "1-days-before", "days": 1, "at": "18:00", "channels": ["email"]}]),
    (
        "14 days 09:00 email; 2 hours email+sms",
        [
            {"occasion": "14-days-before", "days": 14, "at": "09:00", "channels": ["email"]},
            {"occasion": "2-hours-before", "hours": 2, "channels": ["email", "sms"]},
        ],
    ),
]


@pytest.mark.parametrize(("text", "rules"), OWN)
def test_reminders_of_a_service_are_read_and_written_in_words(text: str, rules: object) -> None:
    (read,) = read_catalogue(a_file(row(reminders=text)), LANGUAGES, DESKS)

    assert read.values["reminders"] == rules
    assert said(read.values["reminders"]) == text


@pytest.mark.parametrize(
    "text",
    ["soon", "0 days 18:00 email", "1 day email", "73 hours sms", "1 day 25:00 sms", "1 day 18:00 fax", "2 hours"],
)
def test_reminders_that_make_no_sense_are_refused(text: str) -> None:
    (problem,) = problems_of(a_file(row(reminders=text)))

    assert "it must be reminders like 1 day 18:00 email; 2 hours email+sms, or none, or usual." in problem


def test_rules_that_say_the_same_are_no_difference(context: Flask, town: Town) -> None:
    """Whatever the occasion is called: what was sent under its name is not sent again under another."""
    own = [{"occasion": "week-before", "days": 7, "at": "09:00", "channels": ["sms", "email"]}]
    import_catalogue(with_all_desks(town), a_file(row(key="eid")), MONDAY)
    db.session.scalars(select(Service).where(Service.key == "eid")).one().reminders = own
    db.session.commit()
    begin_write()
    municipality = db.session.get_one(Municipality, town.municipality_id)

    outcome = import_catalogue(municipality, a_file(row(key="eid", reminders="7 days 09:00 email+sms")), MONDAY)

    assert outcome == Outcome(added=0, changed=0, unchanged=1)
    assert db.session.scalars(select(Service).where(Service.key == "eid")).one().reminders == own


def test_a_byte_order_mark_is_no_part_of_the_first_column() -> None:
    assert [one.values["key"] for one in read_catalogue(b"\xef\xbb\xbf" + TWO, LANGUAGES, DESKS)] == ["eid", "licence"]


def test_a_row_of_several_lines_is_named_by_its_first() -> None:
    long = row(key="eid", summary_nl="One.\nTwo.\nThree.", minutes="7")
    content = a_file(long, row(key="licence", minutes="9")).replace(b"\r\neid", b"\r\n\r\neid")

    assert [problem.partition(":")[0] for problem in problems_of(content)] == ["Line 3 (eid)", "Line 6 (licence)"]
    unclosed = content + b'last,"never\nclosed'
    assert problems_of(unclosed)[0].startswith("Line 7: this is not valid CSV")


def written(folder: Path, content: bytes) -> str:
    file = folder / "services.csv"
    file.write_bytes(content)
    return str(file)


def test_the_command_says_what_it_did(app: Flask, town: Town, tmp_path: Path) -> None:
    run = app.test_cli_runner().invoke
    file = written(tmp_path, a_file(row(), row(key="eid")))

    first = run(args=["catalogue", "import", file])
    second = run(args=["catalogue", "import", file, "--town", town.slug])

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.stdout == "1 services added, 1 changed, 0 as they were.\n"
    assert second.stdout == "0 services added, 0 changed, 2 as they were.\n"
    with app.app_context():
        assert db.session.scalars(select(Service.key).order_by(Service.key)).all() == ["eid", "passport", "wedding"]


def test_the_command_refuses_a_wrong_file_and_says_why(app: Flask, town: Town, tmp_path: Path) -> None:
    file = written(tmp_path, a_file(row(key="eid"), row(key="licence", minutes="7"), row(key="pass", fee_eur="-1")))

    refused = app.test_cli_runner().invoke(args=["catalogue", "import", file])

    assert refused.exit_code == 1
    assert refused.stdout == ""
    lines = refused.stderr.splitlines()
    assert [line.partition(":")[0] for line in lines[:2]] == ["Line 3 (licence)", "Line 4 (pass)"]
    assert lines[2] == "Nothing was imported: 2 problem(s) in services.csv."
    with app.app_context():
        assert db.session.scalars(select(Service.key).order_by(Service.key)).all() == ["passport", "wedding"]


def test_the_command_asks_which_town_when_there_are_several(app: Flask, town: Town, tmp_path: Path) -> None:
    with app.app_context():
        make_municipality("anderdorp")
        db.session.commit()
    run, file = app.test_cli_runner().invoke, written(tmp_path, a_file(row()))

    for arguments in ([file], [file, "--town", "nowhere"], [str(tmp_path / "missing.csv")]):
        assert run(args=["catalogue", "import", *arguments]).exit_code == 2
    asked = run(args=["catalogue", "import", file]).stderr
    assert "Say which municipality with --town" in asked
    assert {"anderdorp", "testdorp"} <= set(asked.replace(",", " ").replace(".", " ").split())
