"""Whoever guesses at an account from a thousand addresses is stopped, and its owner works on where they always do."""

from __future__ import annotations

import pytest
from flask import Flask

from booking.db import db
from booking.staff.models import Role
from tests.conftest import Clock
from tests.factories import PASSWORD, Town, make_staff, make_town
from tests.pages import Page, Visitor
from tests.test_admin import ADMIN
from tests.test_admin_staff import digits, set_up
from tests.test_staff_pages import signed_in

pytestmark = pytest.mark.counter

MIA = "mia@testdorp.example.org"
COOKIE = "balie-known"


def guess(app: Flask, email: str = MIA, times: int = 60) -> list[int]:
    """An attacker with an address for each try."""
    return [Visitor(app, f"198.51.100.{n}").sign_in("testdorp", email, "wrong").status for n in range(times)]


def left(visitor: Visitor) -> Visitor:
    """The same browser after its owner has signed out."""
    visitor.send(visitor.get("/testdorp/staff/account").form("/sign-out"))
    return visitor


def carried(app: Flask, visitor: Visitor, town: str = "testdorp", to: str = "testdorp", change: str = "") -> Visitor:
    """Another browser with this one's cookie."""
    cookie = visitor.client.get_cookie(COOKIE, path=f"/{town}")
    assert cookie
    other = Visitor(app, "192.0.2.77")
    other.client.set_cookie(COOKIE, cookie.value + change, path=f"/{to}")
    return other


def test_an_attacker_is_stopped_and_the_owner_is_not(app: Flask, town: Town, management: None) -> None:
    own = left(signed_in(app, "mia"))

    assert guess(app) == [422] * 50 + [429] * 10

    assert Visitor(app, "192.0.2.1").sign_in("testdorp", MIA, PASSWORD).status == 429  # a browser that nobody knows
    assert own.sign_in("testdorp", MIA, PASSWORD).status == 303


def test_who_is_shut_out_elsewhere_goes_on_working(app: Flask, town: Town, management: None) -> None:
    own = signed_in(app, "mia")
    guess(app)

    assert own.get(f"{ADMIN}/").status == 200


def test_a_neighbour_at_the_same_address_shuts_nobody_out(app: Flask, town: Town, management: None) -> None:
    """The waiting room's network has the same address as the counters."""
    own, neighbour = left(signed_in(app, "mia")), Visitor(app)
    tried = [neighbour.sign_in("testdorp", f"guess{n}@testdorp.example.org", "wrong").status for n in range(52)]
    assert tried[-1] == 429

    assert own.sign_in("testdorp", MIA, PASSWORD).status == 303


def test_a_browser_that_is_known_may_not_guess_for_ever(app: Flask, town: Town, management: None, clock: Clock) -> None:
    """Somebody at the counter's computer, or with its stolen cookie."""
    thief = carried(app, left(signed_in(app, "mia")))
    for _round in range(5):
        assert [thief.sign_in("testdorp", MIA, "wrong").status for _try in range(11)] == [422] * 10 + [429]
        clock.advance(minutes=16)
    assert thief.sign_in("testdorp", MIA, PASSWORD).status == 429  # fifty in a week

    other = signed_in(app, "mia")
    assert left(other).sign_in("testdorp", MIA, PASSWORD).status == 303  # each browser has tries of its own


def test_the_cookie_signs_nothing_in_and_knows_one_account(app: Flask, town: Town, management: None) -> None:
    own = left(signed_in(app, "mia"))
    assert "/sign-in" in carried(app, own).get(f"{ADMIN}/").location
    guess(app, "bob@testdorp.example.org")

    assert own.sign_in("testdorp", "bob@testdorp.example.org", PASSWORD).status == 429  # known to Mia only


def test_a_cookie_that_was_changed_is_none(app: Flask, town: Town, management: None) -> None:
    own = left(signed_in(app, "mia"))
    guess(app)

    assert carried(app, own, change="a").sign_in("testdorp", MIA, PASSWORD).status == 429


def test_colleagues_share_a_computer(app: Flask, town: Town, management: None) -> None:
    shared = left(signed_in(app, "mia"))
    assert shared.sign_in("testdorp", "bob@testdorp.example.org", PASSWORD).status == 303
    left(shared)
    guess(app)
    guess(app, "bob@testdorp.example.org")

    for name in ("mia", "bob"):
        assert shared.sign_in("testdorp", f"{name}@testdorp.example.org", PASSWORD).status == 303
        left(shared)


def test_a_cookie_of_one_town_is_none_in_another(app: Flask, town: Town, management: None) -> None:
    with app.app_context():
        other = make_town("elders")
        make_staff(other.municipality_id, MIA, Role.CLERK)  # she works there as well
        db.session.commit()
    own = left(signed_in(app, "mia"))
    for n in range(50):
        Visitor(app, f"198.51.100.{n}").sign_in("elders", MIA, "wrong")

    assert carried(app, own, to="elders").sign_in("elders", MIA, PASSWORD).status == 429


def test_the_digits_are_asked_for_before_a_browser_is_known(
    app: Flask, town: Town, management: None, clock: Clock
) -> None:
    totp = set_up(app, clock)
    visitor = Visitor(app, "192.0.2.9")
    visitor.sign_in("testdorp", MIA, PASSWORD)
    assert visitor.client.get_cookie(COOKIE, path="/testdorp") is None

    page: Page = digits(visitor, totp.at(clock.now))

    said = "".join(page.response.headers.getlist("Set-Cookie"))
    assert COOKIE in said and "HttpOnly" in said and "SameSite=Lax" in said and "Path=/testdorp" in said
