"""What happens when a message does not arrive: the other channel, the call list, receipts, and what is undecided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import create_engine, delete, select
from twilio.request_validator import RequestValidator

from booking.appointments.booking import Citizen, cancel
from booking.appointments.models import Appointment
from booking.config import Settings
from booking.db import begin_write, db
from booking.delivery import sms
from booking.delivery.calls import called, calls, count_of_calls
from booking.delivery.receipts import receive
from booking.delivery.send import send_due, settle
from booking.delivery.sms import Receipt
from booking.outbox.models import Kind, Message, MessageChannel, MessageState
from booking.outbox.providers import away
from booking.outbox.queue import STUCK_AFTER
from booking.staff.audit import citizen_of, worker_of
from tests.conftest import Clock
from tests.factories import Town, make_town
from tests.pages import Page, Visitor
from tests.providers import SID, TOKEN, MailStub, TextStub
from tests.test_messages import ALICE, booked

pytestmark = pytest.mark.messages

EMAIL, SMS = MessageChannel.EMAIL, MessageChannel.SMS
SENT, DELIVERED, FAILED = MessageState.SENT, MessageState.DELIVERED, MessageState.FAILED
BY_MAIL = Citizen("Bob Claes", "nl", email="bob@example.org")
BY_TEXT = Citizen("Cem Aydin", "nl", phone="+32470000003")


@pytest.fixture
def mail() -> Iterator[MailStub]:
    with MailStub().open() as stub:
        yield stub


@pytest.fixture
def twilio() -> Iterator[TextStub]:
    with TextStub().open() as stub:
        yield stub


@pytest.fixture
def house(context: Flask, mail: MailStub, twilio: TextStub, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """The application with both providers, known to the world by an address that Twilio can call."""
    monkeypatch.setattr(sms, "TIMEOUT", 0.5)
    own: Settings = context.extensions["balie"]["settings"]
    context.extensions["balie"]["settings"] = replace(
        own, url="https://balie.example", smtp=mail.settings, sender="balie@example.org", twilio=twilio.account
    )
    return context


def send(app: Flask, clock: Clock) -> None:
    """What the worker does at each tick, until nothing is due."""
    db.session.rollback()
    settings = app.extensions["balie"]["settings"]
    settle(settings, clock)
    for channel in MessageChannel:
        while send_due(settings, clock, channel):
            pass


def news(kind: Kind = Kind.CONFIRMATION) -> dict[MessageChannel, Message]:
    """The messages of this kind, by their channel."""
    db.session.rollback()
    return {one.channel: one for one in db.session.scalars(select(Message).where(Message.kind == kind))}


def state(channel: MessageChannel) -> MessageState:
    return news()[channel].state


def listed(town: Town, clock: Clock) -> list[str | None]:
    """Who stands on the call list."""
    found = [call.appointment.booking.name for call in calls([town.desk_id], clock())]
    assert count_of_calls([town.desk_id], clock()) == len(found)
    db.session.rollback()
    return found


# ---- refused for good


def test_who_cannot_be_reached_by_mail_gets_a_text_message_at_once(
    house: Flask, town: Town, clock: Clock, mail: MailStub, twilio: TextStub
) -> None:
    mail.unknown.add("bob@example.org")
    appointment = booked(town, clock, replace(BY_MAIL, phone="+32470000002"))
    db.session.execute(Message.__table__.delete().where(Message.channel == SMS))  # type: ignore[attr-defined]
    db.session.commit()

    send(house, clock)

    assert (state(EMAIL), state(SMS)) == (FAILED, SENT)
    assert [one["to"] for one in twilio.messages] == ["+32470000002"]
    assert listed(town, clock) == []
    assert appointment.id


def test_who_has_no_other_channel_stands_on_the_call_list_until_somebody_called(
    house: Flask, town: Town, clock: Clock, mail: MailStub
) -> None:
    mail.unknown.add("bob@example.org")
    appointment = booked(town, clock, BY_MAIL)
    send(house, clock)
    assert listed(town, clock) == ["Bob Claes"]

    begin_write()
    called(db.session.get_one(Appointment, appointment.id), worker_of(town.municipality_id), clock())
    db.session.commit()

    assert listed(town, clock) == []


@pytest.mark.parametrize(("error", "is_called"), [("21211", True), ("21610", True)])
def test_both_channels_refused_is_a_call(
    house: Flask, town: Town, clock: Clock, mail: MailStub, twilio: TextStub, error: str, is_called: bool
) -> None:
    mail.unknown.add("alice@example.org")
    twilio.answers.append(error)
    booked(town, clock, ALICE)

    send(house, clock)

    assert (state(EMAIL), state(SMS)) == (FAILED, FAILED)
    assert listed(town, clock) == ["Alice Peeters"]
    assert error in str(news()[SMS].reason)


def test_an_opted_out_phone_is_no_call_while_the_mail_arrives(
    house: Flask, town: Town, clock: Clock, twilio: TextStub
) -> None:
    twilio.answers.append("21610")
    booked(town, clock, ALICE)

    send(house, clock)

    assert (state(EMAIL), state(SMS)) == (SENT, FAILED)
    assert listed(town, clock) == []


def test_nobody_is_called_about_what_has_changed_since_or_has_begun(
    house: Flask, town: Town, clock: Clock, mail: MailStub
) -> None:
    mail.unknown.add("bob@example.org")
    first = booked(town, clock, BY_MAIL)
    send(house, clock)
    begin_write()
    cancel(db.session.get_one(Appointment, first.id), citizen_of(town.municipality_id), clock())
    db.session.commit()
    assert listed(town, clock) == []
    send(house, clock)
    assert listed(town, clock) == ["Bob Claes"]  # that it was cancelled did not reach him either

    clock.advance(days=4)

    assert listed(town, clock) == []


# ---- what nobody knows


@pytest.mark.parametrize("answer", ["500 kept", "slow"])
def test_a_text_message_whose_answer_never_came_is_looked_up_and_not_sent_again(
    house: Flask, town: Town, clock: Clock, twilio: TextStub, answer: str
) -> None:
    twilio.answers.append(answer)
    booked(town, clock, BY_TEXT)
    send(house, clock)
    assert (state(SMS), str(news()[SMS].reason)[:9]) == (MessageState.SENDING, "undecided")

    clock.now += STUCK_AFTER
    send(house, clock)

    assert (state(SMS), len(twilio.messages)) == (SENT, 1)
    assert news()[SMS].provider_id == twilio.messages[0]["sid"]


def test_a_text_message_that_was_never_taken_goes_out_again(
    house: Flask, town: Town, clock: Clock, twilio: TextStub
) -> None:
    twilio.answers.append("500")
    booked(town, clock, BY_TEXT)
    send(house, clock)
    assert twilio.messages == []

    clock.now += STUCK_AFTER
    send(house, clock)

    assert (state(SMS), len(twilio.messages)) == (SENT, 1)


def test_what_nobody_can_tell_is_a_call_and_never_sent_again(
    house: Flask, town: Town, clock: Clock, twilio: TextStub
) -> None:
    twilio.answers.append("500 kept")
    twilio.shows_texts = False
    booked(town, clock, BY_TEXT)
    send(house, clock)

    for _ in range(3):
        clock.now += STUCK_AFTER
        send(house, clock)

    assert (state(SMS), len(twilio.messages)) == (FAILED, 1)
    assert listed(town, clock) == ["Cem Aydin"]


def test_the_same_words_sent_before_are_not_taken_for_these(
    house: Flask, town: Town, clock: Clock, twilio: TextStub
) -> None:
    """Two reminders of one appointment say the same."""
    booked(town, clock, BY_TEXT)
    send(house, clock)
    sent = news()[SMS]
    twin = {name: getattr(sent, name) for name in ("municipality_id", "subject_kind", "subject_id", "sequence")}
    twin |= {"kind": sent.kind, "occasion": "twin", "channel": SMS, "content": sent.content, "attempts": 1}
    twin |= {"made_at": clock(), "due_at": clock(), "claimed_at": clock(), "expires_at": sent.expires_at}
    db.session.add(Message(**twin, state=MessageState.SENDING))
    db.session.commit()

    clock.now += STUCK_AFTER
    send(house, clock)

    assert twilio.texts == [twilio.texts[0]] * 2


def test_twilio_that_cannot_even_be_asked_decides_nothing(
    house: Flask, town: Town, clock: Clock, twilio: TextStub
) -> None:
    twilio.answers.append("500 kept")
    booked(town, clock, BY_TEXT)
    send(house, clock)
    settings: Settings = house.extensions["balie"]["settings"]
    gone = replace(settings, twilio=replace(twilio.account, address="http://127.0.0.1:9"))
    clock.now += STUCK_AFTER
    settle(gone, clock)
    assert state(SMS) == MessageState.SENDING

    clock.now += STUCK_AFTER
    send(house, clock)

    assert (state(SMS), len(twilio.messages)) == (SENT, 1)


# ---- receipts


def receipt(app: Flask, word: str, sid: str, *, token: str = TOKEN, path: str = "", code: str = "") -> Page:
    """Twilio's call about the text message that was sent, as it signs it."""
    own = f"/testdorp/receipts/{news()[SMS].id}"
    form = {"MessageSid": sid, "MessageStatus": word, "AccountSid": SID, **({"ErrorCode": code} if code else {})}
    signature = RequestValidator(token).compute_signature(f"https://balie.example{own}", form)
    db.session.rollback()
    visitor = Visitor(app)
    answer = visitor.client.post(path or own, data=form, headers={"X-Twilio-Signature": signature})
    return visitor._page(answer)


@pytest.fixture
def sent(house: Flask, town: Town, clock: Clock, twilio: TextStub) -> str:
    """A text message that Twilio took; its id there."""
    booked(town, clock, BY_TEXT)
    send(house, clock)
    return str(twilio.messages[0]["sid"])


def test_twilio_is_told_where_to_report(house: Flask, sent: str, twilio: TextStub) -> None:
    assert twilio.messages[0]["callback"] == f"https://balie.example/testdorp/receipts/{news()[SMS].id}"


@pytest.mark.parametrize(
    "words", [("sent", "delivered"), ("delivered", "sent"), ("delivered", "delivered", "queued", "undelivered")]
)
def test_a_receipt_moves_the_message_forward_however_often_and_in_whatever_order(
    house: Flask, sent: str, town: Town, clock: Clock, words: tuple[str, ...]
) -> None:
    for word in words:
        assert receipt(house, word, sent).status == 204

    assert state(SMS) == DELIVERED
    assert listed(town, clock) == []


def test_an_undelivered_text_message_is_a_call_once(house: Flask, sent: str, town: Town, clock: Clock) -> None:
    for word in ("undelivered", "failed", "sent"):
        assert receipt(house, word, sent, code="30005").status == 204

    assert (state(SMS), news()[SMS].reason) == (FAILED, "Twilio 30005")
    assert listed(town, clock) == ["Cem Aydin"]


def test_what_arrives_after_all_needs_no_call(house: Flask, sent: str, town: Town, clock: Clock) -> None:
    receipt(house, "undelivered", sent)
    receipt(house, "delivered", sent)

    assert (state(SMS), listed(town, clock)) == (DELIVERED, [])


def test_only_twilio_may_say_so(house: Flask, sent: str) -> None:
    assert receipt(house, "delivered", sent, token="another token").status == 403
    id = news()[SMS].id
    db.session.rollback()
    assert Visitor(house).post(f"/testdorp/receipts/{id}", {"MessageStatus": "delivered"}).status == 403
    assert state(SMS) == SENT


def test_a_receipt_is_for_its_own_address_and_its_own_message(house: Flask, sent: str, town: Town) -> None:
    make_town("elders")
    db.session.commit()

    assert receipt(house, "delivered", sent, path=f"/elders/receipts/{news()[SMS].id}").status == 403
    assert receipt(house, "delivered", sent, path="/testdorp/receipts/999").status == 403
    assert receipt(house, "delivered", "SM" + "f" * 32).status == 204  # an older try of ours
    assert state(SMS) == SENT


def test_nothing_is_received_where_no_service_is_set(app: Flask, town: Town) -> None:
    assert Visitor(app).post("/testdorp/receipts/1", {}).status == 404


def test_a_receipt_that_is_faster_than_the_answer_decides_what_was_undecided(
    house: Flask, town: Town, clock: Clock, twilio: TextStub
) -> None:
    twilio.answers.append("slow")
    booked(town, clock, BY_TEXT)
    send(house, clock)
    assert state(SMS) == MessageState.SENDING

    receipt(house, "delivered", twilio.messages[0]["sid"])
    clock.now += STUCK_AFTER
    send(house, clock)

    assert (state(SMS), len(twilio.messages)) == (DELIVERED, 1)


# ---- a provider that is away


def test_a_busy_service_is_left_alone_for_a_pause_that_grows(
    house: Flask, town: Town, clock: Clock, twilio: TextStub
) -> None:
    twilio.answers += ["429"] * 4
    booked(town, clock, BY_TEXT)
    began: datetime = clock()
    asked = []
    for _ in range(80):
        before = twilio.requests
        send(house, clock)
        asked += [(clock() - began).total_seconds()] * (twilio.requests - before)
        clock.advance(seconds=5)

    assert asked == [0, 15, 45, 105, 225]
    assert state(SMS) == SENT
    assert away() == []


def test_a_wrong_token_is_our_fault_and_costs_no_message(
    house: Flask, town: Town, clock: Clock, twilio: TextStub
) -> None:
    twilio.answers.append("20003")
    booked(town, clock, BY_TEXT)
    send(house, clock)
    assert [(one.channel, one.reason) for one in away()] == [(SMS, "Twilio 400 20003")]

    clock.advance(minutes=1)
    send(house, clock)

    assert (state(SMS), listed(town, clock)) == (SENT, [])


def test_a_letter_of_which_the_server_fell_silent_comes_again_with_the_same_message_id(
    house: Flask, town: Town, clock: Clock, mail: MailStub
) -> None:
    mail.refusals.append("drop")
    booked(town, clock, BY_MAIL)
    send(house, clock)
    assert state(EMAIL) == MessageState.QUEUED

    clock.advance(minutes=2)
    send(house, clock)

    assert [letter["Message-ID"] for letter in mail.letters] == [f"<balie-{news()[EMAIL].id}@example.org>"] * 2
    assert mail.senders == [f"balie+{news()[EMAIL].id}@example.org"] * 2
    assert mail.letters[0].as_bytes() == mail.letters[1].as_bytes()


def test_many_letters_go_over_one_connection(house: Flask, town: Town, clock: Clock, mail: MailStub) -> None:
    mail.unknown.add("bob@example.org")
    for n in range(3):
        booked(town, clock, ALICE, at=timedelta(minutes=40 * n))
        booked(town, clock, BY_MAIL, at=timedelta(minutes=40 * n + 20))

    send(house, clock)

    assert (len(mail.letters), mail.connections) == (3, 1)


def test_who_is_erased_while_a_letter_is_on_its_way_stops_nobody_else(
    house: Flask, town: Town, clock: Clock, mail: MailStub
) -> None:
    erased, other = booked(town, clock, BY_MAIL).id, booked(town, clock, ALICE).id
    mail.refusals.append("451 later")
    settings: Settings = house.extensions["balie"]["settings"]
    mail.before_answer = lambda: erase_elsewhere(settings.database, erased)
    db.session.rollback()

    send_due(settings, clock, EMAIL)

    assert [letter["To"] for letter in mail.letters] == ["alice@example.org"]
    assert {one.subject_id for one in db.session.scalars(select(Message))} == {other}


def erase_elsewhere(database: str, appointment_id: int) -> None:
    """Another process erases the messages of the appointment."""
    engine = create_engine(database)
    with engine.begin() as connection:
        connection.execute(delete(Message).where(Message.subject_id == appointment_id))
    engine.dispose()


@pytest.mark.parametrize("state", [SENT, FAILED])
def test_a_receipt_for_a_message_that_is_gone_changes_nothing(context: Flask, state: MessageState) -> None:
    receive(4711, Receipt("SM1", state, None), datetime.now().astimezone())

    assert db.session.scalars(select(Message)).all() == []
