"""The list of the day for a day without network: PDF and CSV at six o'clock, and what happened entered afterwards."""

from __future__ import annotations

import csv
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from booking.appointments.models import Visit
from booking.appointments.visits import waited
from booking.db import begin_write, db
from booking.outbox.models import MessageState
from booking.outbox.queue import day_lists, end
from booking.staff.models import AuditLine
from booking.townhall.models import Office
from booking.worker import run_step
from tests.conftest import Clock
from tests.factories import Town
from tests.test_staff_pages import TODAY, appointment, people, signed_in

__all__ = ["people"]
pytestmark = pytest.mark.counter

ON = "2026-11-23"


def lines(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))


def unpacked(pdf: bytes) -> Iterator[bytes]:
    """The streams of the document, as far as they are packed."""
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL):
        with suppress(zlib.error):
            yield zlib.decompress(stream)


@pytest.mark.usefixtures("people")
def test_the_day_as_csv(app: Flask, town: Town) -> None:
    appointment(app, town)
    appointment(app, town, "=HYPERLINK(1)", datetime(2026, 11, 23, 10, 0, tzinfo=UTC))

    answer = signed_in(app, "alice").get(f"/testdorp/staff/day/{town.desk_id}/{ON}/csv").response

    head, *rows = lines(answer.data)
    assert head[:2] == ["Uur", "Loket"]
    assert [(row[0], row[3], row[4]) for row in rows] == [
        ("10:00", "Zoë Janssens", "Passport (nl) (2)"),
        ("11:00", "'=HYPERLINK(1)", "Passport (nl) (2)"),  # no spreadsheet runs it
    ]
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{ON}.csv"'
    with app.app_context():
        assert db.session.scalars(select(AuditLine).where(AuditLine.action == "read_day_list")).one().staff_id


@pytest.mark.usefixtures("people")
def test_the_day_as_a_page_that_can_be_read_aloud(app: Flask, town: Town) -> None:
    appointment(app, town)

    answer = signed_in(app, "alice").get(f"/testdorp/staff/day/{town.desk_id}/{ON}/pdf").response

    assert answer.data.startswith(b"%PDF-") and answer.mimetype == "application/pdf"
    inside = answer.data + b"".join(unpacked(answer.data))
    assert b"/StructTreeRoot" in inside and b"/Table" in inside and b"pdfuaid" in inside  # tagged, PDF/UA


def test_at_six_the_lists_lie_in_the_folder_and_those_of_yesterday_are_gone(
    app: Flask, town: Town, clock: Clock, tmp_path: Path
) -> None:
    appointment(app, town)
    folder = tmp_path / "lists"
    app.extensions["balie"]["settings"] = replace(app.extensions["balie"]["settings"], day_lists=folder)
    old = folder / "testdorp" / "2026-11-22"
    old.mkdir(parents=True)
    clock.now = datetime(2026, 11, 23, 4, 59, tzinfo=UTC)  # one minute to six in Brussels
    run_step(app, "day lists")
    assert old.is_dir() and not (folder / "testdorp" / ON).exists()

    clock.advance(minutes=1)
    run_step(app, "day lists")

    written = {file.name: file for file in (folder / "testdorp" / ON).iterdir()}
    assert set(written) == {"1-civil.csv", "1-civil.pdf"} and not old.exists()
    assert lines(written["1-civil.csv"].read_bytes())[1][3] == "Zoë Janssens"
    before = written["1-civil.csv"].stat().st_mtime_ns
    clock.advance(minutes=1)
    run_step(app, "day lists")
    assert written["1-civil.csv"].stat().st_mtime_ns == before  # once a day


@pytest.mark.usefixtures("people")
def test_what_happened_is_entered_the_day_after(app: Flask, town: Town, clock: Clock) -> None:
    came = appointment(app, town)
    missed = appointment(app, town, "Piet Claes", datetime(2026, 11, 23, 10, 0, tzinfo=UTC))
    clock.advance(days=1)
    visitor = signed_in(app, "alice")
    page = visitor.get(f"{TODAY}{town.desk_id}/{ON}")
    assert "2 appointments are over, and nobody said what became of them." in page.text
    form = visitor.get(f"{TODAY}{town.desk_id}/{ON}?view=list").forms[-1]

    assert visitor.post(f"/testdorp/staff/appointment/{came}/arrive?seen=0", form.values).status == 409
    assert visitor.post(f"/testdorp/staff/appointment/{came}/serve?seen=0", form.values).status == 303
    assert visitor.post(f"/testdorp/staff/appointment/{missed}/miss?seen=0", form.values).status == 303

    page = visitor.get(f"{TODAY}{town.desk_id}/{ON}?view=list")
    assert "nobody said" not in page.text
    with app.app_context():
        one = db.session.scalars(select(Visit).where(Visit.appointment_id == came)).one()
        assert one.appointment is not None and one.served_at == one.appointment.ends_at
        assert waited(one) is None and one.arrived_at == one.served_at - timedelta(minutes=25)


def with_mailbox(app: Flask, town: Town, address: str | None) -> None:
    with app.app_context():
        begin_write()
        db.session.get_one(Office, town.office_id).day_list_email = address
        db.session.commit()


def test_at_six_the_list_goes_to_the_mailbox_of_the_office_once(app: Flask, town: Town, clock: Clock) -> None:
    appointment(app, town)
    with_mailbox(app, town, "printer@testdorp.example.org")
    clock.now = datetime(2026, 11, 23, 4, 59, tzinfo=UTC)
    run_step(app, "day lists")
    with app.app_context():
        assert day_lists(town.municipality_id) == []

    for _ in range(3):
        clock.advance(minutes=1)
        run_step(app, "day lists")
        run_step(app, "e-mail")

    files = (app.extensions["balie"]["settings"].instance / "outbox" / "testdorp").glob("*.eml")
    mails = [BytesParser(EmailMessage, policy=default).parsebytes(file.read_bytes()) for file in files]
    (mail,) = [one for one in mails if one["To"] == "printer@testdorp.example.org"]
    assert "Daglijst" in mail["Subject"]
    text = " ".join(mail.get_body(("plain",)).get_content().split())  # type: ignore[union-attr]
    assert "Zoë" not in text  # only in what is attached
    assert "23 november 2026" in text and "06:00" in text and "kijk in de agenda" in text
    assert "http://localhost:8000/testdorp/staff/" in text
    (page,) = mail.iter_attachments()
    assert page.get_content_type() == "application/pdf" and page.get_content().startswith(b"%PDF-")
    with app.app_context():
        actions = db.session.scalars(select(AuditLine.action).where(AuditLine.object_kind == "office")).all()
        assert actions == ["queue_day_list"]


def test_the_list_that_names_people_is_deleted_a_day_later(app: Flask, town: Town, clock: Clock) -> None:
    appointment(app, town)
    with_mailbox(app, town, "counters@testdorp.example.org")
    clock.now = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
    run_step(app, "day lists")
    run_step(app, "e-mail")

    clock.advance(days=1, minutes=1)
    run_step(app, "tidying")

    with app.app_context():
        assert day_lists(town.municipality_id) == []


@pytest.mark.parametrize("why", ["no mailbox any more", "too late"])
def test_a_list_that_is_of_no_use_any_more_does_not_go(app: Flask, town: Town, clock: Clock, why: str) -> None:
    appointment(app, town)
    with_mailbox(app, town, "counters@testdorp.example.org")
    clock.now = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
    run_step(app, "day lists")
    if why == "too late":
        clock.advance(hours=18)
    else:
        with_mailbox(app, town, None)

    run_step(app, "e-mail")

    with app.app_context():
        (message,) = day_lists(town.municipality_id)
        assert message.state == (MessageState.EXPIRED if why == "too late" else MessageState.DROPPED)


def test_a_day_on_which_nobody_comes_has_no_letter(app: Flask, town: Town, clock: Clock) -> None:
    with_mailbox(app, town, "counters@testdorp.example.org")
    clock.now = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)

    run_step(app, "day lists")

    with app.app_context():
        assert day_lists(town.municipality_id) == []


def test_a_refused_list_is_shown_to_those_who_see_messages(app: Flask, town: Town, people: None, clock: Clock) -> None:
    appointment(app, town)
    with_mailbox(app, town, "counters@testdorp.example.org")
    clock.now = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
    run_step(app, "day lists")
    with app.app_context():
        begin_write()
        end(day_lists(town.municipality_id)[0], MessageState.FAILED, clock.now, "550 no such mailbox")
        db.session.commit()

    page = signed_in(app, "ann").get("/testdorp/staff/outbox")

    assert "The list of the day did not reach" in page.text and "550 no such mailbox" in page.text
