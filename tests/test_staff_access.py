"""What nobody gets by a link, by guessing, or by being the second of two at once."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError

import pyotp
import pytest
from flask import Flask
from sqlalchemy import delete, select

from booking.db import begin_write, db
from booking.staff import accounts
from booking.staff.accounts import NOT_CHOSEN, is_last_administrator, set_roles
from booking.staff.models import EVERYWHERE, AuditLine, Place, Role, Staff, StaffRole
from booking.staff.twofactor import accept, secret
from tests.conftest import KEYS, Clock
from tests.factories import PASSWORD, Town, make_staff
from tests.pages import Page, Visitor
from tests.test_admin import ADMIN
from tests.test_admin_staff import (
    NEW,
    account_of,
    choose,
    digits,
    fill_account,
    half,
    invited,
    set_up,
    shown_secret,
)
from tests.test_staff_pages import signed_in

pytestmark = pytest.mark.townhall

OTHER = "another password for mia"


def new_link(app: Flask, name: str) -> str:
    """Ann makes a new link for the account; its path."""
    ann = signed_in(app, "ann")
    page = ann.follow(ann.send(ann.get(f"{ADMIN}/staff/{account_of(app, name)}").form("/invite"), typed=name))
    link = re.search(r"/testdorp/staff/join/[^\"]+", page.response.get_data(as_text=True))
    assert link
    return link[0]


def test_a_new_link_does_not_replace_the_digits(app: Flask, town: Town, management: None, clock: Clock) -> None:
    totp = set_up(app, clock)
    mia = Visitor(app)

    assert choose(mia, new_link(app, "mia"), OTHER).location.endswith("/sign-in/digits")

    assert "/sign-in" in mia.get(f"{ADMIN}/").location
    assert digits(mia, totp.at(clock.now)).status == 303
    assert mia.get(f"{ADMIN}/").status == 200


def test_a_new_link_ends_the_old_password(app: Flask, town: Town, management: None) -> None:
    new_link(app, "mia")

    assert Visitor(app).sign_in("testdorp", "mia@testdorp.example.org", PASSWORD).status == 422


def test_the_last_administrator_keeps_the_password(app: Flask, town: Town, management: None) -> None:
    ann = signed_in(app, "ann")

    page = ann.get(f"{ADMIN}/staff/{account_of(app, 'ann')}")
    assert "This is the only administrator" in page.text
    assert not [form for form in page.forms if form.action.endswith(("/invite", "/revoke"))]
    sent = {"csrf_token": page.forms[-1].values["csrf_token"]}
    assert ann.post(f"{ADMIN}/staff/{account_of(app, 'ann')}/invite", sent).status == 409

    assert Visitor(app).sign_in("testdorp", "ann@testdorp.example.org", PASSWORD).status == 303


def secret_in(page: Page) -> str:
    found = re.search(r"\b[A-Z2-7]{32}\b", page.text)
    return found[0] if found else ""


def test_an_open_session_alone_shows_no_secret(app: Flask, town: Town, management: None, clock: Clock) -> None:
    mia = signed_in(app, "mia")
    assert not secret_in(mia.get("/testdorp/staff/account"))

    refused = shown_secret(mia, "wrong")
    assert refused.status == 422 and not secret_in(refused)
    page = shown_secret(mia)
    assert secret_in(page) != secret_in(shown_secret(mia)) != ""  # each is shown once

    wrong = mia.send(page.form("/second-factor"), digits=pyotp.TOTP(secret_in(page)).at(clock.now))
    assert wrong.status == 422 and not secret_in(wrong)
    for _try in range(4):
        shown_secret(mia, "wrong")
    assert shown_secret(mia).status == 429


def test_a_new_password_makes_a_secret_from_before_void(app: Flask, town: Town, management: None, clock: Clock) -> None:
    seen = pyotp.TOTP(secret_in(shown_secret(signed_in(app, "mia"))))
    mia, path = Visitor(app), new_link(app, "mia")
    assert choose(mia, path).status == 303

    token = mia.get("/testdorp/staff/account").form("/second-factor/secret").values
    answer = mia.post("/testdorp/staff/account/second-factor", {**token, "digits": seen.at(clock.now)})

    assert answer.status == 422


def test_other_sessions_end_when_the_second_factor_is_on(
    app: Flask, town: Town, management: None, clock: Clock
) -> None:
    other, mia = signed_in(app, "mia"), signed_in(app, "mia")
    page = shown_secret(mia)

    page = mia.send(page.form("/second-factor"), digits=pyotp.TOTP(secret_in(page)).at(clock.now))

    assert "From now on you sign in with the digits" in mia.follow(page).text
    assert "/sign-in" in other.get("/testdorp/staff/account").location


def test_digits_cannot_be_guessed_for_weeks(app: Flask, town: Town, management: None, clock: Clock) -> None:
    totp = set_up(app, clock)
    for _round in range(4):
        visitor = half(app)
        assert [digits(visitor, "111111").status for _try in range(5)] == [422] * 5
        clock.advance(minutes=16)

    visitor = half(app)
    assert digits(visitor, totp.at(clock.now)).status == digits(visitor, totp.at(clock.now)).status == 429

    with app.app_context():  # written down once
        lines = db.session.scalars(select(AuditLine).where(AuditLine.action == "digits_refused")).all()
        assert [line.object_id for line in lines] == [account_of(app, "mia")]
    clock.advance(days=7)
    assert digits(half(app), totp.at(clock.now)).status == 303


def test_two_requests_with_the_same_digits_are_one_too_many(town: Town, context: Flask, clock: Clock) -> None:
    made = make_staff(town.municipality_id, "mia@testdorp.example.org", Role.MANAGER)
    db.session.commit()
    both = []
    for _request in range(2):  # each has read the account before the other one's digits were taken
        both.append(db.session.get_one(Staff, made.id))
        _known = both[-1].totp_step
        db.session.expunge(both[-1])
        made = both[-1]
    db.session.rollback()
    typed = pyotp.TOTP(secret(KEYS[0], made)).at(clock.now)

    taken = []
    for one in both:
        begin_write()
        taken.append(accept(KEYS, one, typed, clock.now))
        db.session.commit()

    assert taken == [True, False]


def test_two_administrators_who_send_each_other_away_leave_one(app: Flask, town: Town, management: None) -> None:
    with app.app_context():
        make_staff(town.municipality_id, "anton@testdorp.example.org", Role.ADMINISTRATOR)
        db.session.commit()
    both_have_asked = Barrier(2)

    def send_away(id: int) -> None:
        with app.app_context():
            begin_write()
            other = db.session.get_one(Staff, id)
            is_last = is_last_administrator(other)
            with suppress(BrokenBarrierError):
                both_have_asked.wait(timeout=1)  # the other one may have to wait for our commit
            if not is_last:
                set_roles(other, {EVERYWHERE: Role.CLERK})
            db.session.commit()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(send_away, [account_of(app, "ann"), account_of(app, "anton")]))

    with app.app_context():
        left = db.session.scalars(select(StaffRole).where(StaffRole.role == Role.ADMINISTRATOR)).all()
        assert len(left) == 1


class Watched:
    """Looks at passwords as ever, and remembers what was looked at; no transaction may be open meanwhile."""

    def __init__(self) -> None:
        self.hashes: list[str] = []
        self._real = accounts._hasher

    def verify(self, known: str, password: str) -> bool:
        assert not db.session().in_transaction()
        self.hashes.append(known)
        return self._real.verify(known, password)

    def hash(self, password: str) -> str:
        assert not db.session().in_transaction()
        return self._real.hash(password)


@pytest.fixture
def watched(app: Flask, management: None, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """From now on; the accounts are there already."""
    watched = Watched()
    monkeypatch.setattr(accounts, "_hasher", watched)
    return watched


def test_nobody_waits_for_the_database_while_a_password_is_looked_at(app: Flask, town: Town, watched: Watched) -> None:
    assert Visitor(app).sign_in("testdorp", "mia@testdorp.example.org", "wrong").status == 422
    _ann, _page, path = invited(app, town)

    assert choose(Visitor(app), path).status == 303

    assert len(watched.hashes) == 2  # Mia's and Ann's


def test_an_account_that_waits_for_its_password_takes_as_long(app: Flask, town: Town, watched: Watched) -> None:
    invited(app, town)

    assert Visitor(app).sign_in("testdorp", NEW["email"], NOT_CHOSEN).status == 422
    assert Visitor(app).sign_in("testdorp", NEW["email"], "nobody has this password").status == 422

    assert watched.hashes[-1].startswith("$argon2") and len(watched.hashes) == 3


def test_who_loses_the_only_desk_does_not_get_all(app: Flask, town: Town, management: None) -> None:
    ann, dora = signed_in(app, "ann"), account_of(app, "dora")
    with app.app_context():  # what removing the desk does
        db.session.execute(delete(StaffRole).where(StaffRole.staff_id == dora))
        db.session.commit()

    page = fill_account(ann, dora, "")

    assert page.status == 422 and "Choose a role" in page.text
    assert roles_of(app, dora) == []
    assert fill_account(ann, dora, "clerk").status == 303
    assert roles_of(app, dora) == [("clerk", EVERYWHERE)]


def test_nobody_administers_a_single_office(app: Flask, town: Town, management: None) -> None:
    page = fill_account(
        signed_in(app, "ann"), account_of(app, "dora"), "", **{f"role-office-{town.office_id}": "administrator"}
    )

    assert page.status == 422 and "Administrators are of the whole municipality." in page.text


def test_the_log_says_which_roles_were_changed(app: Flask, town: Town, management: None) -> None:
    ann, dora = signed_in(app, "ann"), account_of(app, "dora")

    saved: Page = fill_account(ann, dora, "", **{f"role-office-{town.office_id}": "lead"})

    assert saved.status == 303
    with app.app_context():
        line = db.session.scalars(select(AuditLine).where(AuditLine.action == "change_staff")).one()
        before, after = (["manager", town.desk_id, None], ["lead", None, town.office_id])
        assert line.details == {"before": [before], "after": [after, before]}


def roles_of(app: Flask, id: int) -> list[tuple[str, Place]]:
    with app.app_context():
        return [(held.role.value, held.place) for held in db.session.get_one(Staff, id).roles]
