"""Messages on their way: words in four languages, a real mail server, files, and what must not be sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from booking.appointments.booking import Citizen, book, cancel, move
from booking.appointments.holds import hold
from booking.appointments.models import Appointment, Channel
from booking.appointments.offers import Demand
from booking.config import Settings, SmtpServer
from booking.db import begin_write, db
from booking.delivery.send import send_due
from booking.outbox.models import Kind, Message, MessageChannel, MessageState
from booking.staff.audit import citizen_of
from booking.townhall.models import Office, Service
from booking.worker import run_step
from tests.conftest import Clock
from tests.factories import Town
from tests.pages import Visitor
from tests.providers import MailStub

pytestmark = pytest.mark.messages

THURSDAY = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[tuple[MailStub, SmtpServer]]:
    with MailStub().open() as stub:
        yield stub, stub.settings


def booked(
    town: Town, clock: Clock, citizen: Citizen, service_id: int | None = None, at: timedelta = timedelta()
) -> Appointment:
    """An appointment on Thursday at ten on the clock of Brussels, or so much later, committed."""
    db.session.rollback()
    begin_write()
    office = db.session.get_one(Office, town.office_id)
    demand = Demand(db.session.get_one(Service, service_id or town.passport_id))
    kept = hold(office, demand, THURSDAY + at, clock())
    made = book(kept, citizen, Channel.WEB, citizen_of(town.municipality_id), clock())
    db.session.commit()
    return made.appointments[0]


def states() -> dict[str, str]:
    """Kind and occasion → state."""
    rows = db.session.execute(select(Message.kind, Message.occasion, Message.channel, Message.state))
    return {f"{kind.value} {occasion} {channel.value}": state.value for kind, occasion, channel, state in rows}


def send(app: Flask, clock: Clock, smtp: SmtpServer | None = None) -> None:
    settings: Settings = app.extensions["balie"]["settings"]
    db.session.rollback()
    for channel in MessageChannel:
        while send_due(replace(settings, smtp=smtp), clock, channel):
            pass


ALICE = Citizen("Alice Peeters", "nl", email="alice@example.org", phone="+32470123456")


def test_a_confirmation_goes_out_over_smtp(
    context: Flask, town: Town, clock: Clock, server: tuple[MailStub, SmtpServer]
) -> None:
    booked(town, clock, ALICE)

    send(context, clock, server[1])

    letter = server[0].letters[0]
    assert letter["To"] == "alice@example.org"
    assert letter["Reply-To"] == "burgerzaken@testdorp.example.org"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert "donderdag 26 november" in letter["Subject"] and "Passport" not in letter["Subject"]
    plain, html = (letter.get_body((kind,)) for kind in ("plain", "html"))
    assert plain and html
    for part in (plain.get_content(), html.get_content()):
        assert "Passport (nl)" in part and "/testdorp/nl/b/" in part and "identity card" in part
    assert "\n\n\n" not in plain.get_content()


def test_the_link_in_the_message_opens_the_own_page(context: Flask, town: Town, clock: Clock) -> None:
    booked(town, clock, ALICE)
    send(context, clock)

    folder = context.extensions["balie"]["settings"].instance / "outbox" / "testdorp"
    short = next(file.read_text() for file in folder.glob("*.txt"))
    link = short.split("http://localhost:8000")[1].split()[0]

    assert Visitor(context).get(link).status == 200


def test_reminders_wait_for_their_time(context: Flask, town: Town, clock: Clock) -> None:
    booked(town, clock, ALICE)
    send(context, clock)
    assert states()["reminder day-before email"] == "queued"

    clock.now = datetime(2026, 11, 25, 17, 0, tzinfo=UTC)  # 18:00 in Brussels
    send(context, clock)
    assert states()["reminder day-before email"] == "sent"
    assert states()["reminder two-hours-before sms"] == "queued"

    clock.now = datetime(2026, 11, 26, 7, 0, tzinfo=UTC)
    send(context, clock)
    assert states()["reminder two-hours-before sms"] == "sent"


def test_a_reminder_is_never_sent_after_the_appointment_began(context: Flask, town: Town, clock: Clock) -> None:
    booked(town, clock, ALICE)
    clock.now = THURSDAY

    send(context, clock)

    assert states()["reminder day-before email"] == "expired"


def test_moved_and_cancelled_appointments_drop_what_is_no_longer_true(context: Flask, town: Town, clock: Clock) -> None:
    appointment = booked(town, clock, ALICE)
    begin = (citizen_of(town.municipality_id), clock())
    db.session.rollback()
    begin_write()
    move(appointment, db.session.get_one(Office, town.office_id), THURSDAY.replace(hour=10), *begin)
    db.session.commit()
    begin_write()
    cancel(appointment, *begin)
    db.session.commit()

    send(context, clock)

    sent = [kind for kind, state in states().items() if state == "sent"]
    assert sorted(sent) == ["cancellation cancellation email", "cancellation cancellation sms"]
    assert not [state for state in states().values() if state == "queued"]


def test_a_refusal_that_passes_is_tried_again_with_the_same_letter(
    context: Flask, town: Town, clock: Clock, server: tuple[MailStub, SmtpServer]
) -> None:
    booked(town, clock, Citizen("Alice", "nl", email="alice@example.org"))
    server[0].refusals.append("451 later")

    send(context, clock, server[1])
    assert states()["confirmation confirmation email"] == "queued"
    kept = db.session.scalars(select(Message.content).where(Message.kind == Kind.CONFIRMATION)).one()
    clock.advance(minutes=2)
    send(context, clock, server[1])

    assert len(server[0].letters) == 1
    assert kept is not None and server[0].letters[0]["Message-ID"] in kept.decode()


def test_a_refusal_for_good_is_not_tried_again(
    context: Flask, town: Town, clock: Clock, server: tuple[MailStub, SmtpServer]
) -> None:
    booked(town, clock, Citizen("Alice", "nl", email="alice@example.org"))
    server[0].refusals.append("550 no such mailbox")

    send(context, clock, server[1])

    row = db.session.scalars(select(Message).where(Message.kind == Kind.CONFIRMATION)).one()
    assert row.state == MessageState.FAILED and row.reason == "550 no such mailbox"
    assert row.to_call_at == clock()  # there is no other channel


def test_a_server_that_is_away_loses_nothing(context: Flask, town: Town, clock: Clock) -> None:
    booked(town, clock, Citizen("Alice", "nl", email="alice@example.org"))

    send(context, clock, SmtpServer("127.0.0.1", 9, "none", None, None))

    assert states()["confirmation confirmation email"] == "queued"


@pytest.mark.parametrize("name", ["Eve\r\nBcc: all@example.org", 'A "quoted", name', "Zoë 🎉", "\u202eesrever"])
def test_no_name_can_add_a_header(
    context: Flask, town: Town, clock: Clock, server: tuple[MailStub, SmtpServer], name: str
) -> None:
    booked(town, clock, Citizen(name, "nl", email="alice@example.org"))

    send(context, clock, server[1])

    assert server[0].letters[0]["Bcc"] is None


def test_the_worker_writes_down_that_it_lives(app: Flask, town: Town) -> None:
    for step in ("e-mail", "text messages", "tidying", "erasure"):
        run_step(app, step)

    health = Visitor(app).get("/health")

    assert health.status == 200
    assert health.response.json and health.response.json["worker"] == "ok"
