"""Signing in with the town's own sign-in: with a real OpenID Connect provider, in real redirects."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import select

from booking.db import db
from booking.staff import openid
from booking.staff.accounts import invite, set_roles
from booking.staff.models import EVERYWHERE, AuditLine, Identity, Role, Staff
from tests.conftest import Clock
from tests.factories import PASSWORD, Town, make_staff, make_town
from tests.openid import PEOPLE, Person, RunningClock, TownSignIn, query_of, set_provider, town_sign_in
from tests.pages import Page, Visitor
from tests.test_admin import ADMIN
from tests.test_admin_staff import account_of, digits, half, set_up
from tests.test_staff_access import new_link
from tests.test_staff_pages import signed_in

pytestmark = pytest.mark.townhall

START = "/testdorp/staff/"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TownSignIn]:
    with town_sign_in(tmp_path_factory.mktemp("openid"), towns=("testdorp", "elders")) as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return RunningClock()


@pytest.fixture(autouse=True)
def provider(app: Flask, town: Town, management: None, there: TownSignIn) -> None:
    """The provider is set for the town; nothing is remembered of what it said to other tests."""
    openid._kept.clear()
    set_provider(app, town.municipality_id, there.issuer)


def person(app: Flask, name: str) -> Person:
    return Person(Visitor(app), name)


def linked(app: Flask) -> dict[str, str]:
    """Whose account is whose there: e-mail → subject."""
    with app.app_context():
        found = db.session.execute(select(Staff.email, Identity.subject).join(Identity))
        return {email.split("@")[0]: subject for email, subject in found}


def test_who_has_an_account_signs_in_and_is_linked(app: Flask) -> None:
    mia = person(app, "mia")

    page = mia.sign_in()

    assert (page.status, page.location) == (303, START)
    assert mia.visitor.get(f"{ADMIN}/").status == 200
    assert linked(app) == {"mia": "mia"}
    assert "You sign in with Dorpslogin." in mia.visitor.get("/testdorp/staff/account").text


def test_the_link_holds_when_addresses_change(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    assert person(app, "mia").sign_in().status == 303
    with app.app_context():
        db.session.get_one(Staff, account_of(app, "mia")).email = "m.peeters@testdorp.example.org"
        db.session.commit()

    assert person(app, "mia").sign_in().status == 303


def test_who_was_invited_needs_no_password(app: Flask, town: Town, clock: Clock) -> None:
    with app.app_context():
        nora = invite(town.municipality_id, PEOPLE["nora"]["email"], "Nora", "en", clock.now)
        set_roles(nora, {EVERYWHERE: Role.CLERK})
        db.session.commit()

    person_there = person(app, "nora")
    assert person_there.sign_in().status == 303

    assert person_there.visitor.get("/testdorp/staff/account").status == 200
    assert "Second factor" not in person_there.visitor.get("/testdorp/staff/account").text  # there is no password


def test_an_invitation_links_who_has_no_verified_address(app: Flask) -> None:
    path = new_link(app, "mia")
    silent = person(app, "silent")
    form = silent.visitor.get(path)
    asked = form.link(f"join={path.rsplit('/', 1)[1]}")

    page = silent.come_back(silent.sign_in_there(silent.visitor.get(asked).location))

    assert page.status == 303 and linked(app) == {"mia": "silent"}
    assert Visitor(app).get(path).status == 410  # once only
    assert person(app, "silent").sign_in().status == 303  # and from now on without it


def test_somebody_else_does_not_get_an_invitation(app: Flask) -> None:
    """Ann is known already; opening Mia's invitation does not make her Mia."""
    ann = person(app, "ann")
    assert ann.sign_in().status == 303
    token = new_link(app, "mia").rsplit("/", 1)[1]

    page = ann.sign_in(query=f"?join={token}")

    assert page.status == 403 and linked(app) == {"ann": "ann"}


@pytest.mark.parametrize("name", ["stranger", "mallory", "silent"])
def test_nobody_gets_an_account_by_it(app: Flask, name: str) -> None:
    """Neither an unknown person, nor one whose address nobody has checked, nor one without."""
    with app.app_context():
        before = len(db.session.scalars(select(Staff)).all())
    somebody = person(app, name)

    page = somebody.sign_in()

    assert page.status == 403 and "no account here that is open" in page.text
    assert somebody.visitor.get(f"{ADMIN}/").location.startswith("/testdorp/staff/sign-in")
    assert linked(app) == {}
    with app.app_context():
        assert len(db.session.scalars(select(Staff)).all()) == before


def test_a_shut_account_stays_shut(app: Flask) -> None:
    assert person(app, "mia").sign_in().status == 303
    ann = signed_in(app, "ann")
    ann.send(ann.get(f"{ADMIN}/staff/{account_of(app, 'mia')}").form("/revoke"))

    assert person(app, "mia").sign_in().status == 403


def test_an_account_belongs_to_the_first_who_was_linked(app: Flask, there: TownSignIn) -> None:
    assert person(app, "mia").sign_in().status == 303
    with app.app_context():  # Nora's address there is Mia's here
        db.session.get_one(Staff, account_of(app, "mia")).email = PEOPLE["nora"]["email"]
        db.session.commit()

    assert person(app, "nora").sign_in().status == 403
    assert linked(app) == {"nora": "mia"}


def test_a_link_can_be_taken_off(app: Flask) -> None:
    mia, ann = person(app, "mia"), signed_in(app, "ann")
    assert mia.sign_in().status == 303
    account = ann.get(f"{ADMIN}/staff/{account_of(app, 'mia')}")

    ann.send(account.form("/unlink"), typed="Mia")

    assert linked(app) == {}
    assert "/sign-in" in mia.visitor.get("/testdorp/staff/account").location
    with app.app_context():
        assert db.session.scalars(select(AuditLine).where(AuditLine.action == "unlink")).one()


def test_another_town_is_not_entered(app: Flask, town: Town, there: TownSignIn) -> None:
    """The same provider serves both; who works at the one is nobody at the other."""
    with app.app_context():
        other = make_town("elders")
        make_staff(other.municipality_id, "ann@elders.example.org", Role.ADMINISTRATOR)
        db.session.commit()
    set_provider(app, other.municipality_id, there.issuer, town="elders")
    mia = person(app, "mia")
    assert mia.sign_in().status == 303

    assert mia.sign_in("elders").status == 403
    assert "/elders/staff/sign-in" in mia.visitor.get("/elders/staff/account").location

    back = person(app, "mia").sign_in_there(mia.go())  # an answer meant for the one, shown to the other
    assert mia.come_back(back.replace("/testdorp/", "/elders/")).status == 400


def test_a_second_factor_is_asked_unless_the_provider_does(
    app: Flask, town: Town, there: TownSignIn, clock: Clock
) -> None:
    totp = set_up(app, clock)
    mia = person(app, "mia")
    assert mia.sign_in().location.endswith("/sign-in/digits")
    assert "/sign-in" in mia.visitor.get("/testdorp/staff/account").location
    assert digits(mia.visitor, totp.at(clock.now)).status == 303
    assert "Sign out there, too" in sign_out(mia.visitor).text

    set_provider(app, town.municipality_id, there.issuer, has_second_factor=True)

    assert person(app, "mia").sign_in().location == START
    assert half(app)  # with the password the digits are asked for all the same


def sign_out(visitor: Visitor) -> Page:
    return visitor.follow(visitor.send(visitor.get("/testdorp/staff/account").form("/sign-out")))


def test_signing_out_asks_again_who_it_is(app: Flask) -> None:
    mia = person(app, "mia")
    assert "prompt" not in query_of(mia.go())
    assert mia.sign_in().status == 303

    page = sign_out(mia.visitor)

    assert "Dorpslogin may still know you on this computer" in page.text
    there = mia.visitor.get(page.link("/sign-out/provider")).location
    assert query_of(there) == {
        "client_id": "balie-testdorp",
        "post_logout_redirect_uri": "http://localhost:8000/testdorp/staff/sign-in",
    }
    assert mia.browser.get(there).status_code == 200  # it knows us, and asks whether to sign out
    address = mia.go()
    assert query_of(address)["prompt"] == "login"
    mia.name = "ann"  # the next clerk at this computer; the provider still knew Mia
    assert mia.come_back(mia.sign_in_there(address)).status == 303
    assert linked(app) == {"mia": "mia", "ann": "ann"}


def test_the_address_that_was_wanted_is_kept_if_it_is_ours(app: Flask) -> None:
    assert person(app, "mia").sign_in(query="?next=/staff/admin/offices").location == f"{ADMIN}/offices"
    for bad in ("https://evil.example.org/", "//evil.example.org/staff/", "/%5Cevil.example.org", "/nl/"):
        assert person(app, "mia").sign_in(query=f"?next={bad}").location == START


def test_passwords_go_on_working_or_not(app: Flask, town: Town, there: TownSignIn) -> None:
    page = Visitor(app).get("/testdorp/staff/sign-in")
    assert "Sign in with Dorpslogin" in page.text and "Or with a password" in page.text
    assert signed_in(app, "mia")

    set_provider(app, town.municipality_id, there.issuer, allows_passwords=False)

    page = Visitor(app).get("/testdorp/staff/sign-in")
    assert "Password" not in page.text and not page.forms
    visitor = Visitor(app)
    token = visitor.get("/testdorp/nl/find").forms[-1].values["csrf_token"]
    typed = {"csrf_token": token, "email": "mia@testdorp.example.org", "password": PASSWORD}
    assert visitor.post("/testdorp/staff/sign-in", typed).status == 404
    assert person(app, "mia").sign_in().status == 303


def test_no_name_and_no_secret_stands_in_the_log(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="booking"):
        mia = person(app, "mia")
        mia.come_back(mia.sign_in_there(mia.go()), state="another")

    assert "unproven, state" in caplog.text
    assert not any(word in caplog.text for word in ("mia", "nora", "secret"))
