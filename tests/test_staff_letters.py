"""Letters to staff: invitations, and links for a forgotten password, read as a mail server gets them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from flask import Flask
from sqlalchemy import delete, select

from booking import create_app
from booking.config import Settings
from booking.db import db
from booking.outbox.models import Kind, Message, MessageState
from booking.staff.accounts import invite, set_roles
from booking.staff.models import EVERYWHERE, Attempt, Role, Staff
from booking.worker import run_step
from tests.conftest import Clock
from tests.factories import PASSWORD, Town, make_staff, make_town
from tests.openid import set_provider
from tests.pages import Page, Visitor
from tests.providers import MailStub
from tests.test_admin import ADMIN, fill
from tests.test_admin_staff import NEW, account_of, choose, digits, fill_account, set_up
from tests.test_staff_access import new_link
from tests.test_staff_pages import signed_in

pytestmark = [pytest.mark.messages, pytest.mark.townhall]

FORGOTTEN = "/testdorp/staff/sign-in/forgotten"
LINK = re.compile(r"http://localhost:8000(/testdorp/staff/join/\S+)")
OTHER = "another long password of the tests"


@dataclass(frozen=True)
class Post:
    """The worker, and the mail server that it talks to."""

    app: Flask
    server: MailStub

    def goes_out(self) -> list[str]:
        """The texts of the letters that this run of the worker hands over."""
        before = len(self.server.letters)
        run_step(self.app, "e-mail")
        return [one.get_body(("plain",)).get_content() for one in self.server.letters[before:]]  # type: ignore[union-attr]


@pytest.fixture
def post(settings: Settings, clock: Clock) -> Iterator[Post]:
    with MailStub().open() as server:
        worker = create_app(
            Settings(settings.database, settings.keys, settings.instance, smtp=server.settings), clock=clock
        )
        yield Post(worker, server)
        with worker.app_context():
            db.session.remove()
            db.engine.dispose()


def link_in(text: str) -> str:
    found = LINK.search(text)
    assert found, text
    return found[1]


def invited(app: Flask, town: Town, **typed: str) -> tuple[Visitor, Page]:
    """Ann invites Nora, and leaves the box ticked that sends the letter."""
    ann = signed_in(app, "ann")
    return ann, ann.follow(fill(ann, "/staff/new", **{f"role-desk-{town.desk_id}": "clerk"}, **{**NEW, **typed}))


def states(app: Flask, kind: Kind) -> list[tuple[MessageState, str | None]]:
    with app.app_context():
        query = select(Message).where(Message.kind == kind).order_by(Message.id)
        return [(one.state, one.reason) for one in db.session.scalars(query)]


def ask(app: Flask, email: str, address: str = "203.0.113.5") -> Page:
    visitor = Visitor(app, address)
    return visitor.send(visitor.get(FORGOTTEN).form("/forgotten"), email=email)


@pytest.mark.parametrize(
    ("language", "subject"),
    [
        ("nl", "Uw account voor de afspraken van Testdorp"),
        ("fr", "Votre compte pour les rendez-vous de Testdorp"),
        ("de", "Ihr Konto für die Termine von Testdorp"),
        ("en", "Your account for the appointments of Testdorp"),
    ],
)
def test_who_is_invited_gets_a_letter_and_gets_in(
    app: Flask, town: Town, management: None, post: Post, language: str, subject: str
) -> None:
    _ann, page = invited(app, town, language=language)
    assert "The invitation is on its way to nora@testdorp.example.org." in page.text

    [text] = post.goes_out()

    letter = post.server.letters[0]
    assert (letter["To"], letter["Subject"]) == ("nora@testdorp.example.org", subject)
    assert (letter["Reply-To"], letter["Auto-Submitted"]) == ("info@testdorp.example.org", "auto-generated")
    html = letter.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert link_in(text) in html and "src=" not in html  # nothing is fetched from afar
    nora = Visitor(app)
    assert choose(nora, link_in(text)).status == 303
    assert Visitor(app).get(link_in(text)).status == 410


def test_an_invitation_is_sent_again_and_by_hand_if_wanted(
    app: Flask, town: Town, management: None, post: Post, clock: Clock
) -> None:
    ann = signed_in(app, "ann")
    form = next(one for one in ann.get(f"{ADMIN}/staff/new").forms if "role-all" in one.values)
    del form.values["by_email"]
    page = ann.follow(ann.post(f"{ADMIN}/staff/new", {**form.values, **NEW, f"role-desk-{town.desk_id}": "clerk"}))
    assert "Give the link below to its owner." in page.text and post.goes_out() == []

    page = ann.follow(ann.send(page.form("/send")))
    assert "By e-mail: waits until" in page.text
    ann.send(page.form("/send"))  # pressed twice while it waits
    [first] = post.goes_out()
    page = ann.get(f"{ADMIN}/staff/{account_of(app, 'nora')}")
    assert "By e-mail: sent Monday 23 November, 09:00" in page.text
    clock.advance(minutes=1)
    ann.send(page.form("/send"))
    [second] = post.goes_out()

    assert link_in(first) == link_in(second)


def test_a_letter_that_is_not_true_any_more_is_not_sent(app: Flask, town: Town, management: None, post: Post) -> None:
    ann, page = invited(app, town)
    ann.send(page.form("/invite"), typed=NEW["name"])  # another link
    assert post.goes_out() == [] and states(app, Kind.INVITATION) == [(MessageState.DROPPED, "the link is void")]

    page = ann.follow(ann.send(ann.get(f"{ADMIN}/staff/{account_of(app, 'nora')}").form("/send")))
    ann.send(page.form("/revoke"))

    assert post.goes_out() == []
    assert states(app, Kind.INVITATION)[1][0] == MessageState.DROPPED


def test_a_letter_to_a_mistyped_address_opens_nothing(app: Flask, town: Town, management: None, post: Post) -> None:
    ann, _page = invited(app, town)
    [text] = post.goes_out()

    fill_account(ann, account_of(app, "nora"), email="nora.nieuw@testdorp.example.org")

    assert Visitor(app).get(link_in(text)).status == 410


def test_a_letter_comes_too_late_after_a_week(
    app: Flask, town: Town, management: None, post: Post, clock: Clock
) -> None:
    invited(app, town)
    clock.advance(days=7, minutes=1)

    assert post.goes_out() == [] and states(app, Kind.INVITATION) == [(MessageState.EXPIRED, "too late")]


def test_the_link_stands_in_no_page_of_the_outbox_no_log_and_no_table(
    app: Flask, town: Town, management: None, post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    invited(app, town)
    with caplog.at_level(logging.DEBUG):
        run_step(app, "e-mail")  # without a mail server: into a file
        invited(app, town, email="nico@testdorp.example.org")
        [text] = post.goes_out()
    ann = signed_in(app, "ann")
    outbox = ann.get("/testdorp/staff/outbox")
    letter = ann.get(next(one for one in outbox.links if one.endswith(".eml")))

    assert "Your account for the appointments" in letter.text
    for seen in (outbox, letter, ann.get("/testdorp/staff/outbox/preview?kind=invitation&tongue=en")):
        assert not re.search(r"/join/[1-9]", seen.response.get_data(as_text=True))
    logged = [one.getMessage() for one in caplog.records if not one.name.startswith("mail")]  # the server's own
    assert not any(link_in(text).rsplit("/", 1)[1] in line for line in logged)
    with app.app_context():
        kept = db.session.scalars(select(Message.content).where(Message.kind == Kind.INVITATION)).all()
        assert kept == [None, None]


def test_a_letter_that_cannot_be_delivered_is_seen_on_the_account(
    app: Flask, town: Town, management: None, post: Post
) -> None:
    post.server.unknown.add(NEW["email"])
    ann, _page = invited(app, town)

    assert post.goes_out() == []

    page = ann.get(f"{ADMIN}/staff/{account_of(app, 'nora')}")
    assert "By e-mail: failed" in page.text and "550 no such mailbox" in page.text


def test_who_forgot_the_password_gets_a_link_that_works_once(
    app: Flask, town: Town, management: None, post: Post
) -> None:
    old = signed_in(app, "mia")
    page = ask(app, "Mia@testdorp.example.org ")
    assert page.status == 303

    [text] = post.goes_out()
    assert signed_in(app, "mia")  # the old password goes on working, and so do sessions
    assert old.get(f"{ADMIN}/").status == 200
    visitor = Visitor(app)
    assert choose(visitor, link_in(text), OTHER).status == 303

    assert visitor.get(f"{ADMIN}/").status == 200
    assert "/sign-in" in old.get(f"{ADMIN}/").location
    assert Visitor(app).get(link_in(text)).status == 410
    assert Visitor(app).sign_in("testdorp", "mia@testdorp.example.org", PASSWORD).status == 422


def test_the_digits_are_still_asked_for(app: Flask, town: Town, management: None, post: Post, clock: Clock) -> None:
    totp = set_up(app, clock)
    ask(app, "mia@testdorp.example.org")
    [text] = post.goes_out()
    visitor = Visitor(app)

    assert choose(visitor, link_in(text), OTHER).location.endswith("/sign-in/digits")
    assert "/sign-in" in visitor.get(f"{ADMIN}/").location
    assert digits(visitor, totp.at(clock.now)).status == 303


def test_a_link_ends_after_an_hour_with_the_next_one_and_with_the_address(
    app: Flask, town: Town, management: None, post: Post, clock: Clock
) -> None:
    ask(app, "mia@testdorp.example.org")
    [first] = post.goes_out()
    clock.advance(minutes=1)
    ask(app, "mia@testdorp.example.org")
    [second] = post.goes_out()
    assert Visitor(app).get(link_in(first)).status == 410
    assert Visitor(app).get(link_in(second)).status == 200
    assert Visitor(app).get(link_in(second).replace("/testdorp/", "/elders/")).status == 404

    clock.advance(minutes=61)
    assert Visitor(app).get(link_in(second)).status == 410

    ask(app, "mia@testdorp.example.org")
    [third] = post.goes_out()
    fill_account(signed_in(app, "ann"), account_of(app, "mia"), email="m@testdorp.example.org")
    assert Visitor(app).get(link_in(third)).status == 410


def test_nobody_learns_who_has_an_account(app: Flask, town: Town, management: None, post: Post) -> None:
    with app.app_context():
        db.session.get_one(Staff, account_of(app, "dora")).is_active = False
        other = make_town("elders")
        make_staff(other.municipality_id, "zed@elders.example.org", Role.CLERK)
        db.session.commit()
    asked = [
        "mia@testdorp.example.org",
        "nobody@testdorp.example.org",
        "dora@testdorp.example.org",
        "zed@elders.example.org",
    ]

    answers = [ask(app, email) for email in asked]

    assert {(one.status, one.location) for one in answers} == {(303, f"{FORGOTTEN}?sent=1")}
    assert len(post.goes_out()) == 1 and [one["To"] for one in post.server.letters] == asked[:1]


def test_nobody_s_mailbox_is_filled(app: Flask, town: Town, management: None, post: Post, clock: Clock) -> None:
    sent = [ask(app, "mia@testdorp.example.org", f"203.0.113.{n}").status for n in range(5)]
    assert sent == [303, 303, 303, 429, 429]
    unknown = [ask(app, "nobody@testdorp.example.org", f"203.0.113.{n}").status for n in range(5)]
    assert unknown == sent  # and that tells nothing either

    with app.app_context():
        db.session.execute(delete(Attempt))
        db.session.commit()
    assert [ask(app, f"one{n}@testdorp.example.org").status for n in range(12)] == [303] * 10 + [429] * 2


def test_who_never_chose_a_password_gets_the_invitation_again(
    app: Flask, town: Town, management: None, post: Post, clock: Clock
) -> None:
    invited(app, town)
    [first] = post.goes_out()
    clock.advance(hours=2)

    ask(app, NEW["email"])

    [again] = post.goes_out()
    assert link_in(again) == link_in(first)
    clock.advance(days=7)
    ask(app, NEW["email"])  # it has ended: an administrator decides
    assert post.goes_out() == []


def test_a_new_link_of_the_administrator_voids_the_one_asked_for(
    app: Flask, town: Town, management: None, post: Post
) -> None:
    ask(app, "mia@testdorp.example.org")
    [text] = post.goes_out()

    new_link(app, "mia")

    assert Visitor(app).get(link_in(text)).status == 410


def test_invitations_that_were_never_sent_go_out_in_one_step(
    app: Flask, town: Town, management: None, post: Post, clock: Clock
) -> None:
    """What was sent is not sent again, also days later."""
    with app.app_context():
        for name in ("nina", "nils"):
            made = invite(town.municipality_id, f"{name}@testdorp.example.org", name, "en", clock.now)
            set_roles(made, {EVERYWHERE: Role.CLERK})
        db.session.commit()
    invited(app, town)
    ann = signed_in(app, "ann")
    page = ann.get(f"{ADMIN}/staff")
    assert "2 invitations were never sent" in page.text

    page = ann.follow(ann.send(page.form("/staff/send")))

    assert "2 invitations are on their way." in page.text and "never sent" not in page.text
    assert len(post.goes_out()) == 3
    clock.advance(days=3)
    run_step(app, "tidying")
    ann = signed_in(app, "ann")
    assert "never sent" not in ann.get(f"{ADMIN}/staff").text
    clock.advance(days=5)
    run_step(app, "tidying")
    assert states(app, Kind.INVITATION) == []


def test_without_passwords_nobody_asks_for_one(app: Flask, town: Town, management: None) -> None:
    set_provider(app, town.municipality_id, "http://127.0.0.1:9", allows_passwords=False)

    assert Visitor(app).get(FORGOTTEN).status == 404
