"""Files in and out: what is exported comes back as no difference, and what is wrong is named by its line."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable
from datetime import date

import pytest
from flask import Flask
from sqlalchemy import func, select

from booking.appointments.recount import recount
from booking.db import Base, begin_write, db
from booking.exchange.archive import archive
from booking.exchange.imports import PARTS, Import
from booking.outbox.models import Kind, Message
from booking.planning.models import Adjustment
from booking.staff.audit import Actor, member
from booking.staff.models import AuditLine, Place, Role, Staff
from booking.townhall.models import Counter, CounterService, Desk, Municipality, Office, OpeningHours, Service
from booking.townhall.sheets import SheetError
from tests.conftest import MONDAY
from tests.factories import Town, make_desk, make_municipality, make_office, make_staff

pytestmark = pytest.mark.townhall

TODAY = MONDAY.date()  # 2026-11-23


@pytest.fixture
def author(context: Flask, town: Town) -> Actor:
    """Ann administers the town, which has a second office with nothing in it and hours of all kinds."""
    ann = make_staff(town.municipality_id, "ann@testdorp.example.org", Role.ADMINISTRATOR)
    make_staff(town.municipality_id, "dora@testdorp.example.org", Role.LEAD, town.desk_id)
    municipality = db.session.get_one(Municipality, town.municipality_id)
    office = make_office(municipality, 2)
    office.names, office.access, office.phone = {"nl": "=Bibliotheek", "de": "Bücherei"}, ["lift"], "+3215000001"
    desk = make_desk(office, "building")
    desk.walk_in_percents, desk.crowd_size = {"10": 20, "9": 30}, 40
    desk.releases = [{"percent": 60, "days": 28, "at": 480}, {"percent": 40, "days": 1, "at": 540}]
    days = {"counter_id": town.counter_ids[0], "weekday": 5, "opens": 540, "closes": 720}
    db.session.add(OpeningHours(**days, from_on=date(2025, 1, 1), until_on=date(2025, 12, 31), every_weeks=2))
    db.session.add(OpeningHours(**days, from_on=date(2027, 1, 2), every_weeks=2))
    db.session.commit()
    return member(ann)


def exported(town: Town) -> bytes:
    """The ZIP of the town."""
    db.session.rollback()
    content = b"".join(archive(town.municipality_id))
    db.session.rollback()
    return content


def file_of(town: Town, name: str) -> str:
    """One file of the export."""
    with zipfile.ZipFile(io.BytesIO(exported(town))) as file:
        return file.read(f"{name}.csv").decode("utf-8-sig")


def rows_of(town: Town, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file_of(town, name))))


def a_file(rows: Iterable[dict[str, str]]) -> bytes:
    given = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, given[0].keys())
    writer.writeheader()
    writer.writerows(given)
    return text.getvalue().encode()


def zipped(**files: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name, content in files.items():
            file.writestr(f"{name}.csv", content)
    return made.getvalue()


def read(town: Town, content: bytes, author: Actor) -> Import:
    db.session.rollback()
    begin_write()
    return Import(db.session.get_one(Municipality, town.municipality_id), content, author, MONDAY)


def imported(town: Town, content: bytes, author: Actor) -> Import:
    found = read(town, content, author)
    assert list(found.carry_out({})) == list(range(1, found.lines + 1))
    db.session.commit()
    return found


def changes(found: Import) -> dict[str, list[str]]:
    return {one.name: list(one.changes) for outcome in found.outcomes for one in outcome.differences}


def problems(town: Town, content: bytes, author: Actor) -> list[str]:
    """What is wrong with the file; nothing of it is there afterwards."""
    before = everything()
    with pytest.raises(SheetError) as refusal:
        list(read(town, content, author).carry_out({}))
    db.session.rollback()
    assert everything() == before
    return refusal.value.problems


def everything() -> dict[str, list[object]]:
    """All rows of all tables, but for the numbers that each change raises."""
    db.session.rollback()
    numbers = {"revision", "activity", "activity_at"}
    found = {}
    for name, table in Base.metadata.tables.items():
        columns = [column for column in table.columns if column.name not in numbers]
        found[name] = sorted(map(str, db.session.execute(select(*columns)).all()))
    db.session.rollback()
    return found  # type: ignore[return-value]


def test_what_was_exported_comes_back_as_no_difference(author: Actor, town: Town) -> None:
    content, before = exported(town), everything()

    found = imported(town, content, author)

    assert [outcome.part.name for outcome in found.outcomes] == [part.name for part in PARTS]
    assert found.is_empty and found.adjustment is None
    after = everything()
    assert after.pop("audit_line") != before.pop("audit_line")
    assert after == before


def test_an_export_makes_another_town_the_same(author: Actor, town: Town) -> None:
    content = exported(town)
    other = make_municipality("elders")
    zed = member(make_staff(other.id, "zed@elders.example.org", Role.ADMINISTRATOR))
    elders = Town("elders", other.id, 0, 0, (), 0, 0)
    db.session.commit()

    found = imported(elders, content, zed)

    assert [(one.added, one.changed) for one in found.outcomes] == [*[(2, 0)] * 4, (0, 2), (2, 0)]
    for part in PARTS:
        kept = [row for row in rows_of(elders, part.name) if row.get("email") != "zed@elders.example.org"]
        assert kept == rows_of(town, part.name), part.name
    db.session.rollback()
    assert recount(elders.municipality_id, MONDAY).findings == []
    invited = db.session.scalars(select(Staff).where(Staff.municipality_id == other.id, Staff.invited_at.is_not(None)))
    assert {row.email.partition("@")[0] for row in invited} == {"ann", "dora"}


WHO = (("eve", "yes"), ("zoe", "no"))
NOT_CARRIED = {
    "office": {"revision", "activity", "activity_at"},
    "counter": {"late_minutes", "late_on"},  # of today
    "staff": {"password_hash", "generation", "invited_at", "asked_at", "has_totp", "totp_generation", "totp_step"}
    | {"recovery_used"},
}
CALLED = {
    "names": "name",
    "number": "counter",
    "is_active": "active",
    "is_sensitive": "sensitive",
    "fee": "fee_eur",
    "comes_after": "after",
    "desk_key": "desk",
    "walk_in_percents": "walk_ins",
    "from_on": "from",
    "until_on": "until",
}  # columns of tables by the names of those of files


@pytest.mark.parametrize("name", ["office", "desk", "counter", "service", "service_text", "opening_hours", "staff"])
def test_no_column_of_the_town_hall_is_forgotten_by_its_file(name: str) -> None:
    """A new column of a table comes into the file, or is named above with a reason."""
    headers = [column for part in PARTS for column in part.header(["nl"])]
    columns = [one for one in Base.metadata.tables[name].columns if not one.foreign_keys]

    wanted = {CALLED.get(one.name, one.name) for one in columns} - NOT_CARRIED.get(name, set())

    assert wanted - {"id", "key", "language"} <= {column.removesuffix("_nl") for column in headers}


def test_a_dry_run_says_what_differs_in_words_and_changes_nothing(author: Actor, town: Town) -> None:
    rows = rows_of(town, "desks")
    rows[0] |= {"step_minutes": "15", "name_de": "Bürgeramt"}
    rows.append({**rows[0], "desk": "economy", "name_nl": "Economie"})
    before = everything()

    found = read(town, a_file(rows), author)
    list(found.preview())

    assert changes(found) == {
        "Stadhuis, civil": ["step_minutes: 5 → 15", "name_de: – → Bürgeramt"],
        "Stadhuis, economy": [],
    }
    assert everything() == before


def test_an_office_with_desks_and_counters_comes_from_three_files_at_once(author: Actor, town: Town) -> None:
    offices, desks, counters = (rows_of(town, name) for name in ("offices", "desks", "counters"))
    files = {
        "counters": a_file([{**counters[0], "office": "Noord", "counter": str(n)} for n in (10, 11)]),
        "desks": a_file([{**desks[0], "office": "Noord"}]),
        "offices": a_file([{**offices[0], "office": "Noord", "name_nl": "Noord", "position": "3"}]),
    }

    imported(town, zipped(**files), author)

    office = db.session.scalars(select(Office).where(Office.position == 3)).one()
    assert office.name("nl") == "Noord" and [desk.key for desk in office.desks] == ["civil"]
    assert [counter.number for counter in office.desks[0].counters] == [10, 11]
    doing = select(func.count()).select_from(CounterService).join(Counter).where(Counter.desk_id == office.desks[0].id)
    assert db.session.scalar(doing) == 4


def test_new_counters_without_a_word_do_what_their_desk_does(author: Actor, town: Town) -> None:
    rows = [("Stadhuis", "civil", "7"), ("=Bibliotheek", "building", "8")]
    content = a_file(dict(zip(("office", "desk", "counter"), row, strict=True)) for row in rows)

    imported(town, content, author)

    doing = (
        select(Counter.number, Service.key).join(CounterService, CounterService.counter_id == Counter.id).join(Service)
    )
    found = db.session.execute(doing.where(Counter.number > 2).order_by(Counter.number, Service.key)).all()
    assert [tuple(one) for one in found] == [(7, "passport"), (7, "wedding")]


def test_who_does_what_is_set_by_the_list(author: Actor, town: Town) -> None:
    rows = rows_of(town, "counters")
    rows[1]["services"] = "wedding"

    found = imported(town, a_file(rows), author)

    assert changes(found) == {"Stadhuis, civil, 2": ["services: − passport"]}
    does = select(CounterService.service_id).where(CounterService.counter_id == town.counter_ids[1])
    assert list(db.session.scalars(does)) == [town.wedding_id]


def test_an_office_is_renamed_by_its_name_beside_the_old_one(author: Actor, town: Town) -> None:
    rows = rows_of(town, "offices")
    rows[0] |= {"name_nl": "Nieuw stadhuis", "phone": "+32 (15) 99 99 99"}
    desks = rows_of(town, "desks")

    found = imported(town, zipped(desks=a_file(desks), offices=a_file(rows)), author)

    assert changes(found) == {"Stadhuis": ["phone: – → +3215999999", "name_nl: Stadhuis → Nieuw stadhuis"]}
    assert db.session.get_one(Office, town.office_id).names == {"nl": "Nieuw stadhuis", "en": "Town hall"}


WRONG = [
    ("offices", {"office": ""}, "Line 2 (no key): office is ''; it must not be empty."),
    ("offices", {"address": ""}, "address is ''; it must not be empty."),
    ("offices", {"access": "lift; escalator"}, "access is 'lift; escalator'; it must be one of step_free, lift,"),
    ("offices", {"phone": "015 12 34 56"}, "it must be a phone number with its country"),
    ("offices", {"email": "somebody"}, "it must be an e-mail address"),
    ("offices", {"walk_minutes": "61"}, "walk_minutes is '61'; it must be a whole number from 0 to 60."),
    ("offices", {"name_nl": ""}, "name_nl is ''; it must not be empty."),
    ("offices", {"name_fr": "n" * 81}, "shorten it to 80 characters."),
    ("desks", {"office": "Nowhere"}, "there is no office 'Nowhere'"),
    ("desks", {"step_minutes": "7"}, "it must be one of 5, 10, 15, 20, 30, 60."),
    ("desks", {"email": ""}, "it must be an e-mail address"),
    ("desks", {"releases": "60 28"}, "it must be percents, days ahead and a time"),
    ("desks", {"releases": "60 28 08:00; 41 1 08:00"}, "it must be percents, days ahead and a time"),
    ("desks", {"walk_ins": "9 30; 9 20"}, "it must be hours and percents, like 9 30; 10 20."),
    ("desks", {"crowd_size": "many"}, "crowd_size is 'many'; it must be a whole number from 0 to 10000."),
    ("desks", {"releases": "60 28 25:00"}, "it must be a time in steps of five minutes"),
    ("counters", {"desk": "weddings"}, "Stadhuis has no desk 'weddings'"),
    ("counters", {"counter": "0"}, "counter is '0'; it must be a whole number from 1 to 99999."),
    ("counters", {"services": "passport; nothing"}, "there is no service 'nothing'"),
    ("hours", {"counter": "9"}, "this desk has no counter 9"),
    ("hours", {"weekday": "8"}, "weekday is '8'; it must be a whole number from 1 to 7."),
    ("hours", {"opens": "9:02"}, "it must be a time in steps of five minutes"),
    ("hours", {"opens": ""}, "opens must not be empty"),
    ("hours", {"closes": "09:00"}, "closes must be later than opens."),
    ("hours", {"from": "31.02.2026"}, "it must be a date like 2026-12-31."),
    ("hours", {"until": "2019-01-01"}, "until must not be before from."),
    ("hours", {"from": "2020-02-01"}, "the past stays as it was: write from 2026-11-23 on"),
    ("hours", {"from": "2036-02-01"}, "choose a day within the next three years."),
    ("staff", {"email": "ann"}, "it must be an e-mail address"),
    ("staff", {"roles": "king all"}, "it must be roles (clerk, lead, manager, administrator), each with a place"),
    ("staff", {"roles": "clerk"}, "it must be roles (clerk, lead, manager, administrator), each with a place"),
    ("staff", {"language": "es"}, "it must be one of"),
    ("staff", {"roles": ""}, "roles is empty; write none, or roles like clerk Stadhuis/civil; lead Stadhuis."),
    ("staff", {"roles": "administrator Stadhuis"}, "an administrator is of the whole municipality"),
    ("staff", {"roles": "clerk Stadhuis/nothing"}, "there is no office or desk 'Stadhuis/nothing'"),
    ("staff", {"roles": "clerk all; lead all"}, "there are two roles for one place"),
    ("staff", {"roles": "clerk all"}, "Somebody must stay administrator."),
    ("staff", {"active": "no"}, "Somebody must stay administrator."),
]


@pytest.mark.parametrize(("name", "change", "reason"), WRONG)
def test_what_is_wrong_is_named_and_nothing_is_imported(
    author: Actor, town: Town, name: str, change: dict[str, str], reason: str
) -> None:
    rows = rows_of(town, name)
    rows[0] |= change

    (found,) = problems(town, a_file(rows), author)

    assert reason in found
    assert found.startswith("Line 2 (") or "Somebody" in found


def test_a_zip_names_the_file_as_well(author: Actor, town: Town) -> None:
    hours, desks = rows_of(town, "hours"), rows_of(town, "desks")
    hours[3]["closes"] = "25:00"
    desks[0]["email"] = "nobody"

    found = problems(town, zipped(uren=a_file(hours), desks=a_file(desks)), author)

    assert [one.partition(" (")[0] for one in found] == ["desks.csv: Line 2", "uren.csv: Line 5"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "The file is empty"),
        (b"a,b,c\r\n1,2,3\r\n", "Line 1: no file that can be imported has these columns."),
        (zipped(), "The ZIP file has no file that can be imported."),
        (zipped(appointments=b"id\r\n1\r\n"), "The ZIP file has no file that can be imported."),
        (zipped(desks=b"office,desk,email\r\n")[:-30] + b"x" * 30, "The ZIP file cannot be opened."),
        (zipped(**{f"n{n}": b"office\r\n" for n in range(9)}), "The ZIP file holds too much."),
        (zipped(big=b"," * 31_000_000), "The ZIP file holds too much."),
        (b"office,desk,counter\r\n", "The file has a header and no lines; nothing was imported."),
        (b"office,desk,number\r\nA,b,1\r\n", "Line 1: the column 'counter' is missing."),
        (
            b"office,desk,counter\r\nStadhuis,civil,7\r\nStadhuis,civil,7\r\n",
            "Line 3 (Stadhuis, civil, 7): it stands in",
        ),
        (b"office,desk,counter\r\nStadhuis,civil\r\n", "Line 2 (Stadhuis, civil): it has more or fewer fields"),
    ],
    ids=lambda given: given[:20] if isinstance(given, str) else "",
)
def test_a_file_that_is_none_of_ours_is_refused_in_words(
    author: Actor, town: Town, content: bytes, reason: str
) -> None:
    assert problems(town, content, author)[0].startswith(reason)


def test_two_files_of_one_kind_are_one_too_many(author: Actor, town: Town) -> None:
    desks = file_of(town, "desks").encode()

    assert "another file of the ZIP has the same columns" in problems(town, zipped(a=desks, b=desks), author)[0]


def test_dates_and_semicolons_come_back_as_spreadsheets_save_them(author: Actor, town: Town) -> None:
    rows = [row for row in rows_of(town, "hours") if row["office"] == "Stadhuis"]
    for row in rows:
        row["from"] = ".".join(reversed(row["from"].split("-")))
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), delimiter=";")
    writer.writeheader()
    writer.writerows({**row, "opens": row["opens"] and row["opens"].lstrip("0")} for row in rows)

    assert read(town, text.getvalue().encode(), author).lines == len(rows)
    assert imported(town, text.getvalue().encode(), author).is_empty


def test_staff_change_role_and_name_and_are_shut_out_with_their_sessions(author: Actor, town: Town) -> None:
    rows = rows_of(town, "staff")
    assert [row["roles"] for row in rows] == ["administrator all", "lead Stadhuis/civil"]
    assert not {"password", "generation", "totp"} & {word for name in rows[0] for word in name.split("_")}
    rows[1] |= {"roles": "clerk =Bibliotheek/building; lead Stadhuis", "active": "no"}

    found = imported(town, a_file(rows), author)

    assert changes(found) == {
        "dora@testdorp.example.org": [
            "roles: + clerk =Bibliotheek/building, + lead Stadhuis, − lead Stadhuis/civil",
            "active: yes → no",
        ]
    }
    dora = db.session.scalars(select(Staff).where(Staff.email.like("dora%"))).one()
    assert (dora.is_active, dora.generation) == (False, 2)
    held = {(one.role, one.place) for one in dora.roles}
    assert (Role.LEAD, Place(office_id=town.office_id)) in held and len(held) == 2
    line = db.session.scalars(select(AuditLine).where(AuditLine.action == "change_staff")).one()
    assert line.details["before"] == [["lead", town.desk_id, None]]


def test_who_is_new_gets_a_letter_with_a_link_and_who_is_shut_out_gets_none(author: Actor, town: Town) -> None:
    rows = rows_of(town, "staff")[:1]
    new = [{**rows[0], "email": f"{name}@testdorp.example.org", "active": active} for name, active in WHO]

    found = imported(town, a_file([*rows, *new]), author)

    assert changes(found) == {"eve@testdorp.example.org": [], "zoe@testdorp.example.org": []}
    letters = select(Staff.email).join(Message, Message.subject_id == Staff.id).where(Message.kind == Kind.INVITATION)
    assert list(db.session.scalars(letters)) == ["eve@testdorp.example.org"]


def test_who_lost_every_desk_stays_so(author: Actor, town: Town) -> None:
    dora = db.session.scalars(select(Staff).where(Staff.email.like("dora%"))).one()
    dora.roles.clear()
    db.session.commit()
    rows = rows_of(town, "staff")

    assert rows[1]["roles"] == "none"
    assert imported(town, a_file(rows), author).is_empty


def test_no_adjustment_is_made_where_no_hours_change(author: Actor, town: Town) -> None:
    imported(town, file_of(town, "hours").encode(), author)

    assert db.session.scalar(select(Adjustment.id)) is None
    assert db.session.scalars(select(Desk.key).order_by(Desk.id)).all() == ["civil", "building"]
