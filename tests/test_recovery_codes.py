"""Recovery codes: what lets somebody in whose phone is gone, each once, and nobody else."""

from __future__ import annotations

import re

import pyotp
import pytest
from flask import Flask
from sqlalchemy import select

from booking.db import begin_write, db
from booking.staff.models import AuditLine, Role, Staff
from booking.staff.twofactor import CODES, accept_recovery, recovery_codes
from tests.conftest import KEYS, Clock
from tests.factories import Town, make_staff
from tests.pages import Visitor
from tests.test_admin import ADMIN
from tests.test_admin_staff import account_of, digits, half, shown_secret
from tests.test_staff_access import secret_in
from tests.test_staff_pages import signed_in

pytestmark = pytest.mark.counter


def turned_on(app: Flask, clock: Clock) -> tuple[Visitor, list[str]]:
    """Mia sets the second factor up; her browser, and the codes that she writes down."""
    mia = signed_in(app, "mia")
    page = shown_secret(mia)
    typed = pyotp.TOTP(secret_in(page)).at(clock.now)
    page = mia.follow(mia.send(page.form("/second-factor"), digits=typed))
    assert "From now on you sign in with the digits" in page.text
    clock.advance(minutes=1)
    return mia, re.findall(r"\b\d{5} \d{5}\b", page.text)


def test_each_code_signs_in_once(app: Flask, town: Town, management: None, clock: Clock) -> None:
    mia, codes = turned_on(app, clock)
    assert len(set(codes)) == CODES
    assert "8 recovery codes are left." in mia.get("/testdorp/staff/account").text

    visitor = half(app)
    assert digits(visitor, codes[3].replace(" ", "")).status == 303

    assert visitor.get(f"{ADMIN}/").status == 200
    assert digits(half(app), codes[3]).status == 422
    assert digits(half(app), codes[0]).status == 303
    assert "6 recovery codes are left." in visitor.get("/testdorp/staff/account").text
    with app.app_context():
        lines = db.session.scalars(select(AuditLine).where(AuditLine.action == "use_recovery_code")).all()
        assert [line.staff_id for line in lines] == [account_of(app, "mia")] * 2


def test_the_codes_are_shown_where_they_were_made_and_not_for_long(
    app: Flask, town: Town, management: None, clock: Clock
) -> None:
    mia, codes = turned_on(app, clock)
    where = "/testdorp/staff/account/second-factor/codes"
    assert codes[0] in mia.get(where).text

    other = half(app)
    assert digits(other, codes[0]).status == 303
    assert other.get(where).location.endswith("/staff/account")
    clock.advance(minutes=10)
    assert mia.get(where).location.endswith("/staff/account")


def test_codes_end_with_their_second_factor(app: Flask, town: Town, management: None, clock: Clock) -> None:
    _mia, codes = turned_on(app, clock)
    ann = signed_in(app, "ann")
    ann.send(ann.get(f"{ADMIN}/staff/{account_of(app, 'mia')}").form("/second-factor"), typed="mia")
    _mia, newer = turned_on(app, clock)

    assert not set(codes) & set(newer)
    assert digits(half(app), codes[0]).status == 422
    assert digits(half(app), newer[0]).status == 303


def test_guessing_codes_is_slowed_down_like_guessing_digits(
    app: Flask, town: Town, management: None, clock: Clock
) -> None:
    _mia, codes = turned_on(app, clock)
    visitor = half(app)

    assert [digits(visitor, f"{n:010d}").status for n in range(5)] == [422] * 5

    assert digits(visitor, codes[0]).status == 429


@pytest.mark.parametrize("typed", ["", "-", "١٢٣٤٥٦٧٨٩٠", "0" * 11, "00000 0000O"])
def test_what_is_no_code_is_refused(context: Flask, town: Town, typed: str) -> None:
    mia = make_staff(town.municipality_id, "mia@testdorp.example.org", Role.MANAGER)

    assert not accept_recovery(KEYS, mia, typed)


def test_two_requests_with_the_same_code_are_one_too_many(context: Flask, town: Town) -> None:
    mia = make_staff(town.municipality_id, "mia@testdorp.example.org", Role.MANAGER)
    db.session.commit()
    id, code, both = mia.id, recovery_codes(KEYS[0], mia)[7], []
    for _request in range(2):  # each has read the account before the other one's code was used
        both.append(db.session.get_one(Staff, id, populate_existing=True))
        db.session.expunge(both[-1])
    db.session.rollback()

    taken = []
    for one in both:
        begin_write()
        taken.append(accept_recovery(KEYS, one, code))
        db.session.commit()

    assert taken == [True, False]


def test_a_code_is_not_a_password(app: Flask, town: Town, management: None, clock: Clock) -> None:
    _mia, codes = turned_on(app, clock)

    assert Visitor(app).sign_in("testdorp", "mia@testdorp.example.org", codes[0]).status == 422
