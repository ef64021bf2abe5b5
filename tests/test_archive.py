"""The export of all goes out while it is written: of any size, of one moment, and nothing is left of who breaks off."""

from __future__ import annotations

import csv
import io
import tracemalloc
import zipfile
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import insert, select

from booking.appointments.models import Appointment, AppointmentService, AppointmentState, Booking, Channel
from booking.db import begin_write, db, table
from booking.exchange.archive import archive
from booking.staff.models import AuditLine
from tests.conftest import MONDAY
from tests.factories import Town
from tests.pages import Visitor
from tests.test_admin import ADMIN
from tests.test_staff_pages import signed_in

pytestmark = pytest.mark.townhall


def add_appointments(town: Town, first: int, last: int) -> None:
    """Appointments with these numbers, each of a booking of its own. Commits."""
    ids = range(first, last)
    booking = {"municipality_id": town.municipality_id, "language": "nl", "channel": Channel.WEB, "made_at": MONDAY}
    times = {"starts_at": MONDAY, "ends_at": MONDAY + timedelta(minutes=15), "changed_at": MONDAY}
    state = {"state": AppointmentState.BOOKED, "is_exception": False, "is_beyond_quota": False, "sequence": 0}
    place = {"counter_id": town.counter_ids[0], **times, **state}
    service = {"service_id": town.passport_id, "position": 0, "people": 1}
    db.session.rollback()
    begin_write()
    db.session.execute(
        insert(table(Booking)),
        [{**booking, "id": n, "reference": f"R{n}", "name": "Zoe", "generation": 1} for n in ids],
    )
    db.session.execute(
        insert(table(Appointment)), [{**place, "id": n, "booking_id": n, "uid": f"{n}@balie"} for n in ids]
    )
    db.session.execute(insert(table(AppointmentService)), [{**service, "appointment_id": n} for n in ids])
    db.session.commit()


def lines(content: bytes, name: str) -> int:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert file.testzip() is None
        return len(list(csv.reader(io.StringIO(file.read(name).decode("utf-8-sig"))))) - 1


def peak(town: Town) -> int:
    """The most bytes that were in use at once while the export went out, and nobody kept it."""
    tracemalloc.start()
    try:
        for _piece in archive(town.municipality_id):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_ten_times_as_many_appointments_take_no_more_memory(context: Flask, town: Town) -> None:
    add_appointments(town, 1, 600)
    peak(town)  # what is read once and kept
    few = peak(town)
    add_appointments(town, 600, 6_000)

    many = peak(town)

    assert many < 3 * few  # it was seven times as much when all rows were read at once
    assert lines(b"".join(archive(town.municipality_id)), "appointments.csv") == 5_999


def test_all_of_it_is_of_one_moment(context: Flask, town: Town, app: Flask) -> None:
    add_appointments(town, 1, 50)
    pieces = archive(town.municipality_id)
    begun = next(pieces)

    with app.app_context():  # somebody else books meanwhile
        add_appointments(town, 50, 80)

    content = begun + b"".join(pieces)
    tables = ("appointments.csv", "tables/booking.csv", "tables/appointment.csv", "tables/appointment_service.csv")
    assert [lines(content, name) for name in tables] == [49] * 4


def test_who_breaks_off_leaves_no_transaction_open(app: Flask, town: Town, management: None) -> None:
    with app.app_context():
        add_appointments(town, 1, 500)
    ann = signed_in(app, "ann")
    form = ann.get(f"{ADMIN}/exchange").form("/export")

    answer = ann.client.post(form.action, data=form.values, buffered=False)
    begun = next(iter(answer.response))
    with app.app_context():
        held = db.engine.pool.checkedout()  # type: ignore[attr-defined]
    answer.close()

    assert begun and held == 1
    with app.app_context():
        assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        assert db.session.scalar(select(AuditLine.id).where(AuditLine.action == "export"))
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(begun))


def test_the_download_says_what_it_is_and_how_it_is_called(app: Flask, town: Town, management: None) -> None:
    ann: Visitor = signed_in(app, "ann")

    answer = ann.send(ann.get(f"{ADMIN}/exchange").form("/export")).response

    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="testdorp-2026-11-23.zip"'
    assert "Content-Length" not in answer.headers and "no-store" in answer.headers["Cache-Control"]
    assert lines(answer.data, "offices.csv") == 1
