"""Staff and roles: invitations, the second factor, and taking access away."""

from __future__ import annotations

import re
from datetime import timedelta

import pyotp
import pytest
from flask import Flask
from sqlalchemy import select

from booking.db import db
from booking.staff.accounts import NOT_CHOSEN, grant
from booking.staff.models import Place, Role, Staff
from booking.townhall.models import Municipality
from tests.conftest import Clock
from tests.factories import PASSWORD, Town, make_desk, make_office, make_staff
from tests.pages import Page, Visitor
from tests.test_admin import ADMIN, fill
from tests.test_staff_pages import signed_in

pytestmark = pytest.mark.townhall

NEW = {"name": "Nora Nieuw", "email": "nora@testdorp.example.org", "language": "en"}


def account_of(app: Flask, name: str) -> int:
    with app.app_context():
        return db.session.scalars(select(Staff.id).where(Staff.email == f"{name}@testdorp.example.org")).one()


def invited(app: Flask, town: Town) -> tuple[Visitor, Page, str]:
    """Ann invites Nora to one desk; with Ann, the page of the account and the path of the link."""
    ann = signed_in(app, "ann")
    page = ann.follow(fill(ann, "/staff/new", **{f"role-desk-{town.desk_id}": "clerk"}, **NEW))
    link = re.search(r"/testdorp(/staff/join/[^\"]+)", page.response.get_data(as_text=True))
    assert link
    return ann, page, f"/testdorp{link[1]}"


def choose(visitor: Visitor, path: str, password: str = PASSWORD, again: str | None = None) -> Page:
    form = next(form for form in visitor.get(path).forms if "again" in form.values)
    return visitor.post(path, {**form.values, "password": password, "again": again or password})


def test_who_is_invited_chooses_a_password_and_works(app: Flask, town: Town, management: None) -> None:
    _ann, _page, path = invited(app, town)
    assert Visitor(app).sign_in("testdorp", NEW["email"], NOT_CHOSEN).status == 422
    nora = Visitor(app)
    assert choose(nora, path, "short").status == 422
    assert choose(nora, path, again="another password").status == 422

    page = nora.follow(nora.follow(choose(nora, path)))

    assert "Civil registry" in page.text
    assert Visitor(app).get(path).status == 410  # once only
    assert Visitor(app).sign_in("testdorp", NEW["email"], PASSWORD).status == 303


def test_a_link_ends_after_a_week_or_with_the_next_one(app: Flask, town: Town, management: None, clock: Clock) -> None:
    ann, page, path = invited(app, town)
    newer = ann.follow(ann.send(page.form("/invite"), typed="Nora Nieuw")).response.get_data(as_text=True)
    assert Visitor(app).get(path).status == 410
    link = re.search(r"/testdorp(/staff/join/[^\"]+)", newer)
    assert link and Visitor(app).get(f"/testdorp{link[1]}").status == 200

    clock.advance(days=7, minutes=1)

    assert Visitor(app).get(f"/testdorp{link[1]}").status == 410


def test_desks_of_the_same_name_are_told_apart_by_their_office(app: Flask, town: Town, management: None) -> None:
    with app.app_context():
        village = make_office(db.session.get_one(Municipality, town.municipality_id), position=2)
        village.names = {"nl": "Dorpshuis", "en": "Village house"}
        both = make_staff(town.municipality_id, "eva@testdorp.example.org", Role.LEAD, town.desk_id)
        grant(both, Role.LEAD, Place(make_desk(village).id))
        db.session.commit()

    text = signed_in(app, "ann").get("/testdorp/staff/admin/staff").text

    assert "(Civil registry, Town hall)" in text
    assert "(Civil registry, Village house)" in text


def test_a_role_is_changed_with_the_next_click(app: Flask, town: Town, management: None) -> None:
    bob, ann = signed_in(app, "bob"), signed_in(app, "ann")
    assert bob.get(f"{ADMIN}/").status == 404

    fill_account(ann, account_of(app, "bob"), "manager")

    assert bob.get(f"{ADMIN}/").status == 200


def test_access_ends_at_once_and_can_be_given_back(app: Flask, town: Town, management: None) -> None:
    mia, ann = signed_in(app, "mia"), signed_in(app, "ann")
    page = ann.get(f"{ADMIN}/staff/{account_of(app, 'mia')}")

    page = ann.follow(ann.send(page.form("/revoke")))

    assert "This account is shut" in page.text
    assert "/sign-in" in mia.get(f"{ADMIN}/").location
    assert Visitor(app).sign_in("testdorp", "mia@testdorp.example.org", PASSWORD).status == 422
    ann.press(page.form("/revoke"))
    assert Visitor(app).sign_in("testdorp", "mia@testdorp.example.org", PASSWORD).status == 303


def test_the_last_administrator_stays(app: Flask, town: Town, management: None) -> None:
    ann = signed_in(app, "ann")
    id = account_of(app, "ann")

    page = fill_account(ann, id, "clerk")

    assert page.status == 422 and "Somebody must stay administrator" in page.text
    sent = {"csrf_token": ann.get(f"{ADMIN}/staff/{id}").forms[-1].values["csrf_token"]}
    assert ann.post(f"{ADMIN}/staff/{id}/revoke", sent).status == 409
    with app.app_context():
        assert db.session.get_one(Staff, id).is_active


def fill_account(visitor: Visitor, id: int, role: str | None = None, **typed: str) -> Page:
    """Gives the account this role in the municipality, if one is named; the form as it stands but for that."""
    form = next(form for form in visitor.get(f"{ADMIN}/staff/{id}").forms if "role-all" in form.values)
    everywhere = {} if role is None else {"role-all": role}
    return visitor.post(f"{ADMIN}/staff/{id}", {**form.values, **everywhere, **typed})


def shown_secret(visitor: Visitor, password: str = PASSWORD) -> Page:
    """The page with a new secret, for who types the password."""
    return visitor.send(visitor.get("/testdorp/staff/account").form("/second-factor/secret"), password=password)


def set_up(app: Flask, clock: Clock) -> pyotp.TOTP:
    """Mia sets the second factor up; what her app knows."""
    mia = signed_in(app, "mia")
    page = shown_secret(mia)
    found = re.search(r"\b[A-Z2-7]{32}\b", page.text)
    assert found
    totp = pyotp.TOTP(found[0])
    assert mia.send(page.form("/second-factor"), digits="000000").status == 422
    assert mia.send(page.form("/second-factor"), digits=totp.at(clock.now)).status == 303
    clock.advance(minutes=1)
    return totp


def half(app: Flask) -> Visitor:
    """Mia's password is typed; the digits are missing."""
    visitor = Visitor(app)
    assert visitor.sign_in("testdorp", "mia@testdorp.example.org", PASSWORD).location.endswith("/sign-in/digits")
    return visitor


def digits(visitor: Visitor, typed: str) -> Page:
    form = next(form for form in visitor.get("/testdorp/staff/sign-in/digits").forms if "digits" in form.values)
    return visitor.post("/testdorp/staff/sign-in/digits", {**form.values, "digits": typed})


def test_the_second_factor_is_asked_for(app: Flask, town: Town, management: None, clock: Clock) -> None:
    totp = set_up(app, clock)
    visitor = half(app)
    assert "/sign-in" in visitor.get(f"{ADMIN}/").location  # the password alone opens nothing

    assert digits(visitor, "123").status == 422
    assert digits(visitor, totp.at(clock.now)).status == 303

    assert visitor.get(f"{ADMIN}/").status == 200
    assert digits(half(app), totp.at(clock.now)).status == 422  # the same digits are taken once


def test_digits_of_a_slow_clock_are_taken_old_ones_not(app: Flask, town: Town, management: None, clock: Clock) -> None:
    totp = set_up(app, clock)

    assert digits(half(app), totp.at(clock.now - timedelta(seconds=90))).status == 422
    assert digits(half(app), totp.at(clock.now + timedelta(seconds=30))).status == 303


def test_guessing_digits_is_slowed_down_and_the_first_step_ends(
    app: Flask, town: Town, management: None, clock: Clock
) -> None:
    totp = set_up(app, clock)
    visitor = half(app)
    for _try in range(5):
        assert digits(visitor, "111111").status == 422
    assert digits(visitor, totp.at(clock.now)).status == 429
    clock.advance(minutes=16)
    assert visitor.get("/testdorp/staff/sign-in/digits").status == 404  # ten minutes after the password


def test_an_administrator_takes_the_second_factor_off(app: Flask, town: Town, management: None, clock: Clock) -> None:
    totp = set_up(app, clock)
    ann = signed_in(app, "ann")

    ann.send(ann.get(f"{ADMIN}/staff/{account_of(app, 'mia')}").form("/second-factor"), typed="mia")

    visitor = Visitor(app)
    assert visitor.sign_in("testdorp", "mia@testdorp.example.org", PASSWORD).location.endswith("/staff/")
    page = shown_secret(visitor)
    assert page.status == 200 and totp.secret not in page.text  # a new one


def test_managers_do_not_see_accounts(app: Flask, town: Town, management: None) -> None:
    mia = signed_in(app, "mia")

    assert mia.get(f"{ADMIN}/staff").status == mia.get(f"{ADMIN}/staff/1").status == 404
    assert Role.MANAGER.rank < Role.ADMINISTRATOR.rank
