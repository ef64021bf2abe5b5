"""Signing in as a browser draws it: with the town's own sign-in all the way, and each page on the way looked at."""

from __future__ import annotations

from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from booking import links
from booking.db import db
from booking.staff import openid
from booking.staff.accounts import invite
from booking.staff.models import Staff
from tests.browser.conftest import House, opened, sign_in
from tests.browser.test_pages import ADMINISTRATOR, LOOKS, judge
from tests.conftest import KEYS
from tests.openid import PEOPLE, SECRET, RunningClock, set_provider, town_sign_in

pytestmark = pytest.mark.browser


def sign_in_there(page: Page, name: str) -> None:
    page.fill("input[name=login]", name)
    page.fill("input[name=password]", "any")
    page.click("button[type=submit]")
    page.click("button[type=submit]")  # it asks whether we may know the address


def test_the_town_s_own_sign_in_from_the_settings_to_the_agenda(
    house: House, chromium: Browser, tmp_path: Path
) -> None:
    """An administrator sets it up without help; a colleague signs in with it, out, and out there as well."""
    house.app.extensions["balie"]["clock"] = RunningClock()
    openid._kept.clear()
    with house.app.app_context():
        colleague = db.session.scalars(select(Staff).where(Staff.email != ADMINISTRATOR)).first()
        assert colleague is not None
        colleague.email, colleague.language = PEOPLE["mia"]["email"].lower(), "nl"
        db.session.commit()
    with town_sign_in(tmp_path, house.url, ("lindebeek",)) as there, opened(chromium) as context:
        page = context.new_page()
        sign_in(page, house, ADMINISTRATOR)
        page.goto(f"{house.url}/lindebeek/staff/admin/sign-in")
        page.fill("#name", "Lindelogin")
        page.fill("#issuer", there.issuer)
        page.fill("#client_id", "balie-lindebeek")
        page.fill("#secret", SECRET)
        page.locator("main form[action$='/admin/sign-in'] button").click()
        expect(page.locator(".kern-alert--success")).to_be_visible()
        judge(page, "nl")
        other = context.browser.new_context(locale="nl-BE")  # type: ignore[union-attr]
        page = other.new_page()
        page.goto(f"{house.url}/lindebeek/staff/sign-in")
        page.locator("main .actions a").click()
        sign_in_there(page, "mia")
        expect(page.locator(".bar__who")).to_be_visible()
        assert page.url.startswith(house.url)
        page.click(".bar__out button")
        expect(page.locator(".kern-alert--success")).to_contain_text("Lindelogin")
        judge(page, "nl")
        page.locator(".kern-alert--success a").click()
        page.locator("button[type=submit]").first.click()  # the provider asks whether to sign out
        expect(page.locator("main .actions a")).to_contain_text("Lindelogin")
        other.close()


@pytest.mark.parametrize(("width", "scheme", "language"), LOOKS, ids=str)
def test_the_pages_of_signing_in(house: House, chromium: Browser, width: int, scheme: str, language: str) -> None:
    """With a provider that is away and an invitation that waits; digits are asked for."""
    openid._kept.clear()
    with house.app.app_context():
        row = db.session.scalars(select(Staff).where(Staff.email == ADMINISTRATOR)).one()
        row.language = language
        invited = invite(row.municipality_id, "nora@lindebeek.example.org", "Nora", language, house.clock.now)
        db.session.commit()
        token = links.token(KEYS, "join", invited.id, invited.generation)
        set_provider(house.app, row.municipality_id, "http://127.0.0.1:9", town="lindebeek")
    locale = f"{language}-BE"
    with opened(chromium, viewport={"width": width, "height": 900}, color_scheme=scheme, locale=locale) as context:
        page, base = context.new_page(), f"{house.url}/lindebeek/staff"
        for path in (
            "sign-in/forgotten",
            "sign-in/forgotten?sent=1",
            "sign-in",
            "sign-in?out=1",
            "sign-in/provider",
            f"join/{token}",
        ):
            page.goto(f"{base}/{path}")
            judge(page, language)
        page.goto(f"{base}/sign-in")
        page.click("main form button")
        expect(page.locator("#problems")).to_be_focused()
        judge(page, language)
        sign_in(page, house, ADMINISTRATOR)
        page.goto(f"{base}/account")
        judge_the_second_factor(page, house, language)


def judge_the_second_factor(page: Page, house: House, language: str) -> None:
    """From the account's page: setting it up, and the next time somebody signs in."""
    judge(page, language)
    page.fill("#password", house.sign_ins[ADMINISTRATOR])
    page.click("main form button")
    expect(page.locator(".qr")).to_be_visible()
    judge(page, language)
    secret = page.locator(".codes__secret").inner_text()
    page.click("main form button")
    expect(page.locator("#problems")).to_be_focused()
    judge(page, language)
    page.fill("#digits", pyotp.TOTP(secret).at(house.clock.now))
    page.click("main form button")
    expect(page.locator(".recovery")).to_be_visible()
    judge(page, language)
    page.click("main .actions a")
    judge(page, language)
    page.click(".bar__out button")
    house.clock.advance(minutes=1)
    sign_in(page, house, ADMINISTRATOR)
    expect(page.locator("#digits")).to_be_visible()
    judge(page, language)
    page.click("main form button")
    expect(page.locator("#problems")).to_be_focused()
    judge(page, language)
