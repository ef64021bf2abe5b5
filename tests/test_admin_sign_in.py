"""The page on which an administrator says how staff sign in; its secret, and what it must not do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import text

from booking import create_app
from booking.config import Settings
from booking.db import db
from booking.staff import openid
from booking.staff.identity import provider_of, seal, unsealed
from booking.staff.models import SignInProvider
from tests.conftest import KEYS
from tests.factories import Town
from tests.lying_provider import LyingProvider
from tests.openid import SECRET, set_provider
from tests.pages import Page, Visitor
from tests.test_admin import ADMIN
from tests.test_staff_pages import signed_in

pytestmark = pytest.mark.townhall


@pytest.fixture
def honest() -> Iterator[LyingProvider]:
    openid._kept.clear()
    with LyingProvider().open() as running:
        yield running


def save(visitor: Visitor, **typed: str) -> Page:
    form = visitor.get(f"{ADMIN}/sign-in").form("/admin/sign-in")
    return visitor.send(form, **typed)


def entered(honest: LyingProvider, **changes: str) -> dict[str, str]:
    typed = {"name": "Dorpslogin", "issuer": honest.issuer, "client_id": "balie", "secret": SECRET}
    return {**typed, "allows_passwords": "y", **changes}


def kept(app: Flask, town: Town) -> tuple[str, str | None]:
    """The issuer and the secret, as the application reads them."""
    with app.app_context():
        row = provider_of(town.municipality_id)
        assert row is not None
        return row.issuer, unsealed(KEYS, row)


def test_an_administrator_sets_the_provider(app: Flask, town: Town, management: None, honest: LyingProvider) -> None:
    ann = signed_in(app, "ann")
    assert "http://localhost:8000/testdorp/staff/sign-in/provider/back" in ann.get(f"{ADMIN}/sign-in").text

    page = save(ann, **entered(honest))

    assert "The sign-in is saved." in ann.follow(page).text
    assert kept(app, town) == (honest.issuer, SECRET)
    assert "Sign in with Dorpslogin" in Visitor(app).get("/testdorp/staff/sign-in").text


def test_the_secret_is_shown_nowhere(app: Flask, town: Town, management: None, honest: LyingProvider) -> None:
    ann = signed_in(app, "ann")
    answers = [save(ann, **entered(honest)), ann.get(f"{ADMIN}/sign-in"), save(ann, **entered(honest, name=""))]

    assert all(SECRET not in page.response.get_data(as_text=True) for page in answers)
    with app.app_context():
        row = db.session.execute(text("SELECT * FROM sign_in_provider")).one()
        assert not any(SECRET in str(value) for value in row)
        assert row.secret not in answers[1].response.get_data(as_text=True)
    assert kept(app, town)[1] == SECRET
    save(ann, **entered(honest, secret=""))  # nothing typed: it stays
    assert kept(app, town)[1] == SECRET


@pytest.mark.parametrize("changed", [{"client_id": "another"}, {"issuer": "another"}], ids=str)
def test_a_secret_does_not_go_to_another_provider(
    app: Flask, town: Town, management: None, honest: LyingProvider, changed: dict[str, str]
) -> None:
    """Who may change the address must not be handed the secret of before."""
    ann = signed_in(app, "ann")
    save(ann, **entered(honest))
    with LyingProvider().open() as another:
        if "issuer" in changed:
            changed = {"issuer": another.issuer}
        page = save(ann, **entered(honest, secret="", **changed))

    assert page.status == 303 and kept(app, town)[1] is None


def test_a_secret_copied_to_another_town_is_none(context: Flask, town: Town) -> None:
    row = SignInProvider(municipality_id=town.municipality_id, issuer="https://a.example", client_id="balie")
    seal(KEYS, row, SECRET)
    newer = (b"a newer key, that signs from now on, long", *KEYS)

    assert unsealed(newer, row) == SECRET
    assert unsealed((newer[0],), row) is None  # the old key was retired
    row.municipality_id += 1
    assert unsealed(KEYS, row) is None


@pytest.mark.parametrize(
    "typed", [{"issuer": "http://login.example.org"}, {"issuer": "https://127.0.0.1"}, {"name": ""}, {"client_id": ""}]
)
def test_what_cannot_be_is_refused_before_anybody_is_asked(
    app: Flask, town: Town, management: None, honest: LyingProvider, typed: dict[str, str]
) -> None:
    page = save(signed_in(app, "ann"), **entered(honest, **typed))

    assert page.status == 422 and "Something is missing or not right" in page.text
    assert honest.asked == []


def test_a_provider_that_does_not_answer_is_not_kept(app: Flask, town: Town, management: None) -> None:
    page = save(signed_in(app, "ann"), name="X", issuer="http://127.0.0.1:9", client_id="balie", allows_passwords="y")

    assert page.status == 422 and "No OpenID Connect provider answers there" in page.text
    with app.app_context():
        assert provider_of(town.municipality_id) is None


def test_behind_https_this_machine_is_not_asked(
    settings: Settings, town: Town, management: None, honest: LyingProvider
) -> None:
    app = create_app(Settings(settings.database, KEYS, settings.instance, url="https://balie.example.org"))
    ann = Visitor(app)
    ann.client.environ_base["wsgi.url_scheme"] = "https"
    assert ann.sign_in("testdorp", "ann@testdorp.example.org", "a long password of the tests").status == 303

    page = save(ann, **entered(honest))

    assert page.status == 422 and honest.asked == []
    with app.app_context():
        db.engine.dispose()


def test_passwords_stay_until_the_administrator_is_known_there(
    app: Flask, town: Town, management: None, honest: LyingProvider
) -> None:
    ann = signed_in(app, "ann")
    typed = entered(honest)
    del typed["allows_passwords"]
    form = ann.get(f"{ADMIN}/sign-in").form("/admin/sign-in")
    form.values.pop("allows_passwords", None)

    page = ann.send(form, **typed)

    assert page.status == 422 and "Sign in with the provider once yourself" in page.text


def test_taking_it_off_is_confirmed_by_its_name(app: Flask, town: Town, management: None) -> None:
    set_provider(app, town.municipality_id, "https://login.example.org")
    ann = signed_in(app, "ann")
    page = ann.get(f"{ADMIN}/sign-in")
    assert ann.send(page.form("/end"), typed="something").status == 422

    assert ann.send(page.form("/end"), typed="dorpslogin").status == 303

    assert "Dorpslogin" not in Visitor(app).get("/testdorp/staff/sign-in").text


def test_managers_do_not_see_it(app: Flask, town: Town, management: None) -> None:
    assert signed_in(app, "mia").get(f"{ADMIN}/sign-in").status == 404
