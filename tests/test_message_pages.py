"""What staff see of messages: the call list, the log of an appointment, what waits, and each message to try out."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import delete, select

from booking.appointments.booking import cancel
from booking.appointments.models import Appointment
from booking.db import begin_write, db
from booking.delivery.fallback import give_up
from booking.delivery.files import letters
from booking.delivery.wording import without_code
from booking.links import code, token
from booking.outbox.held import call_off, hold_back, waiting
from booking.outbox.models import TO_STAFF, Kind, Message, MessageChannel, MessageState
from booking.outbox.providers import went_away
from booking.outbox.queue import due_ids, end, tidy
from booking.staff.audit import citizen_of
from booking.staff.models import AuditLine, Role
from booking.townhall.models import CounterService, Municipality, Office
from booking.worker import run_step
from tests.conftest import KEYS, Clock
from tests.factories import Town, make_desk, make_staff
from tests.test_staff_pages import appointment, people, signed_in

pytestmark = [pytest.mark.messages, pytest.mark.usefixtures("people")]
__all__ = ["people"]

WAIT = timedelta(minutes=10)


@pytest.fixture
def zoe(app: Flask, town: Town) -> int:
    """Zoë's appointment on Monday at ten, of which she has been told by e-mail."""
    return appointment(app, town)


def fail(app: Flask, clock: Clock, kind: Kind = Kind.CONFIRMATION) -> None:
    """The mail server knows no such mailbox."""
    with app.app_context():
        begin_write()
        message = db.session.scalars(select(Message).where(Message.kind == kind)).one()
        give_up(message, "550 no such mailbox", clock())
        db.session.commit()


def test_whom_nothing_reached_stands_on_the_agenda_and_on_the_list_until_called(
    app: Flask, town: Town, zoe: int, clock: Clock
) -> None:
    fail(app, clock)
    alice = signed_in(app, "alice")
    agenda = alice.get(f"/testdorp/staff/agenda/{town.desk_id}")
    assert "1 person must be called" in agenda.text

    page = alice.get(agenda.link("/staff/calls"))
    for words in (
        "Zoë Janssens",
        "z@example.org",
        "Passport (en)",
        "Nederlands",
        "550 no such mailbox",
        "Confirmation",
    ):
        assert words in page.text
    done = alice.follow(alice.send(page.form(f"/calls/{zoe}")))

    assert "Taken off the list" in done.text and "Nobody has to be called." in done.text
    opened = alice.get(f"/testdorp/staff/agenda/{town.desk_id}?open={zoe}")
    assert "Called Monday 23 November, 09:00" in opened.text


def test_the_open_appointment_shows_each_message_and_what_became_of_it(
    app: Flask, town: Town, zoe: int, clock: Clock
) -> None:
    with app.app_context():
        begin_write()
        sent = db.session.scalars(select(Message).where(Message.kind == Kind.CONFIRMATION)).one()
        end(sent, MessageState.DELIVERED, clock())
        twin = {name: getattr(sent, name) for name in ("municipality_id", "subject_kind", "subject_id", "sequence")}
        twin |= {"kind": sent.kind, "occasion": sent.occasion, "channel": MessageChannel.SMS, "segments": 2}
        twin |= {name: getattr(sent, name) for name in ("made_at", "due_at", "expires_at")}
        db.session.add(Message(**twin))
        db.session.commit()

    page = signed_in(app, "alice").get(f"/testdorp/staff/agenda/{town.desk_id}?open={zoe}")

    text = " ".join(page.text.split())
    assert "Confirmation by e-mail arrived Monday 23 November, 09:00" in text
    assert "Confirmation by text message waits until Friday 20 November, 10:00, 2 parts" in text


def test_a_clerk_of_another_desk_sees_and_takes_nothing_off(app: Flask, town: Town, zoe: int, clock: Clock) -> None:
    fail(app, clock)
    with app.app_context():
        desk = make_desk(db.session.get_one(Office, town.office_id), key="building")
        make_staff(town.municipality_id, "dora@testdorp.example.org", Role.CLERK, desk.id).language = "en"
        db.session.commit()
    dora = signed_in(app, "dora")

    assert "Zoë" not in dora.get("/testdorp/staff/calls").text
    token = dora.get("/testdorp/staff/calls").forms[0].values["csrf_token"]
    assert dora.post(f"/testdorp/staff/calls/{zoe}", {"csrf_token": token}).status == 404


def test_staff_see_how_long_a_provider_has_been_away(app: Flask, town: Town, zoe: int, clock: Clock) -> None:
    with app.app_context():
        went_away(MessageChannel.EMAIL, "ConnectionRefusedError", clock())
        db.session.commit()

    page = signed_in(app, "ann").get("/testdorp/staff/outbox")

    assert "The mail server does not answer" in page.text and "ConnectionRefusedError" in page.text
    assert "2 messages are due. The oldest has waited since Friday 20 November, 10:00." in " ".join(page.text.split())


# ---- each message to try out


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in TO_STAFF], ids=lambda kind: str(kind.value))
@pytest.mark.parametrize(
    ("tongue", "words"), [("nl", "afspra"), ("fr", "rendez-vous"), ("de", "Termin"), ("en", "appoint")]
)
def test_every_kind_is_shown_in_every_language(app: Flask, town: Town, kind: Kind, tongue: str, words: str) -> None:
    page = signed_in(app, "ann").get(f"/testdorp/staff/outbox/preview?kind={kind.value}&tongue={tongue}")

    assert page.status == 200
    assert words in page.text and "1 part," in page.text and f"/testdorp/{tongue}/b/" in page.text


@pytest.mark.parametrize("kind", sorted(TO_STAFF))
@pytest.mark.parametrize(
    ("tongue", "words"),
    [("nl", "De link werkt"), ("fr", "Le lien fonc"), ("de", "Der Link gilt"), ("en", "The link works")],
)
def test_letters_to_staff_are_shown_too(app: Flask, town: Town, kind: Kind, tongue: str, words: str) -> None:
    """With a link that belongs to nobody; there is no text message of them."""
    page = signed_in(app, "ann").get(f"/testdorp/staff/outbox/preview?kind={kind.value}&tongue={tongue}")

    assert page.status == 200 and words in page.text and "Text message" not in page.text
    assert "/testdorp/staff/join/0-" in page.text


def test_a_letter_to_staff_is_tried_out_without_opening_anything(app: Flask, town: Town) -> None:
    ann = signed_in(app, "ann")
    ann.send(ann.get("/testdorp/staff/outbox/preview?kind=forgotten&tongue=de").form("/outbox/preview"))

    run_step(app, "e-mail")

    (written,) = letters(app.extensions["balie"]["settings"].instance, "testdorp")
    assert written.recipient == "ann@testdorp.example.org" and "Ein neues Passwort" in written.subject
    link = re.search(r"/testdorp/staff/join/\S+", written.text)
    assert link and ann.get(link[0]).status == 404


def test_an_administrator_sends_a_message_to_themselves(app: Flask, town: Town, clock: Clock) -> None:
    clock.advance(hours=13)  # in the quiet hours: they are for citizens
    ann = signed_in(app, "ann")
    page = ann.get("/testdorp/staff/outbox/preview?kind=reminder&tongue=fr")
    said = ann.follow(ann.send(page.form("/outbox/preview")))
    assert "It goes to ann@testdorp.example.org" in said.text

    run_step(app, "e-mail")

    (written,) = letters(app.extensions["balie"]["settings"].instance, "testdorp")
    assert written.recipient == "ann@testdorp.example.org" and "Rappel" in written.subject
    clock.advance(days=2)
    with app.app_context():
        tidy(clock())
        assert db.session.scalars(select(Message)).all() == []


def test_a_written_message_is_read_without_its_secret_links_and_that_is_written_down(
    app: Flask, town: Town, zoe: int, clock: Clock
) -> None:
    run_step(app, "e-mail")
    with app.app_context():
        booking = db.session.get_one(Appointment, zoe).booking
        booking_id, secret = booking.id, token(KEYS, "booking", booking.id, booking.generation)
    found = letters(app.extensions["balie"]["settings"].instance, "testdorp")
    written = next(one for one in found if secret in one.text)

    page = signed_in(app, "ann").get(f"/testdorp/staff/outbox/{written.name}")

    assert "z@example.org" in page.text and secret not in page.response.text
    assert "Code: …" in page.text and code(KEYS[0], booking_id, 1) not in page.text
    with app.app_context():
        lines = select(AuditLine.object_id).where(AuditLine.action == "read_contact")
        assert db.session.scalars(lines).all() == [booking_id]


def test_the_list_of_written_messages_shows_nobodys_address(app: Flask, town: Town, zoe: int, clock: Clock) -> None:
    run_step(app, "e-mail")

    page = signed_in(app, "ann").get("/testdorp/staff/outbox")

    assert "z…@example.org" in page.text and "z@example.org" not in page.text
    with app.app_context():
        assert db.session.scalars(select(AuditLine).where(AuditLine.action == "read_contact")).all() == []


@pytest.mark.parametrize("term", ["Code: ", "Code : "])
def test_the_code_of_a_letter_is_hidden_in_every_language_and_other_numbers_are_not(app: Flask, term: str) -> None:
    with app.app_context():
        text = f"Referentie: AB CD EFG\n{term}4711\nWaar: Straat 12, 3000 Testdorp, 2026\n"

        assert without_code(text) == text.replace("4711", "…")


@pytest.mark.parametrize("query", ["kind=nonsense", "tongue=xx"])
def test_there_is_no_message_of_another_kind_or_language(app: Flask, town: Town, query: str) -> None:
    assert signed_in(app, "ann").get(f"/testdorp/staff/outbox/preview?{query}").status == 404


def test_only_who_manages_may_try_messages_out(app: Flask, town: Town) -> None:
    bob = signed_in(app, "bob")
    token = bob.get("/testdorp/staff/calls").forms[0].values["csrf_token"]

    assert bob.get("/testdorp/staff/outbox/preview").status == 404
    assert bob.post("/testdorp/staff/outbox/preview", {"csrf_token": token}).status == 404


def test_a_town_without_counters_has_nothing_to_show(app: Flask, town: Town) -> None:
    with app.app_context():
        db.session.execute(delete(CounterService))
        db.session.commit()

    assert "nothing to write about" in signed_in(app, "ann").get("/testdorp/staff/outbox/preview").text


# ---- messages of a change that wait


@pytest.fixture
def closed(app: Flask, town: Town, zoe: int, clock: Clock) -> str:
    """An administrator has just closed the office, which cancels Zoë's appointment; the name of that change."""
    with app.app_context():
        begin_write()
        cancel(db.session.get_one(Appointment, zoe), citizen_of(town.municipality_id), clock())
        wait = timedelta(minutes=db.session.get_one(Municipality, town.municipality_id).wait_minutes)
        hold_back([zoe], "closure-7", clock(), clock() + wait)
        db.session.commit()
    return "closure-7"


def due(app: Flask, clock: Clock) -> int:
    with app.app_context():
        return len(due_ids(MessageChannel.EMAIL, clock(), 10))


def test_the_news_of_a_change_waits_ten_minutes(app: Flask, closed: str, clock: Clock) -> None:
    assert due(app, clock) == 0
    clock.now += WAIT - timedelta(seconds=1)
    assert due(app, clock) == 0

    clock.advance(seconds=1)

    assert due(app, clock) == 1


def test_staff_send_the_news_of_a_change_now(app: Flask, town: Town, closed: str, clock: Clock) -> None:
    ann = signed_in(app, "ann")
    page = ann.get("/testdorp/staff/outbox")
    assert "1 message of a change waits until Monday 23 November, 09:10" in page.text

    said = ann.follow(ann.send(page.form("/outbox/send-now")))

    assert "The messages go out now" in said.text and "of a change" not in said.text
    assert due(app, clock) == 1


def test_what_is_called_off_in_time_is_never_sent(app: Flask, town: Town, closed: str, clock: Clock) -> None:
    with app.app_context():
        assert call_off(town.municipality_id, closed, clock())
        db.session.commit()
        assert waiting(town.municipality_id, clock()) == []
    clock.now += WAIT

    assert due(app, clock) == 0


def test_a_change_of_which_one_has_been_told_cannot_be_called_off(
    app: Flask, town: Town, closed: str, clock: Clock
) -> None:
    clock.now += WAIT
    run_step(app, "e-mail")

    with app.app_context():
        assert not call_off(town.municipality_id, closed, clock())


def test_nobody_touches_the_change_of_another_town(app: Flask, town: Town, closed: str, clock: Clock) -> None:
    with app.app_context():
        assert call_off(town.municipality_id + 1, closed, clock())
        assert [one.change for one in waiting(town.municipality_id, clock())] == [closed]
