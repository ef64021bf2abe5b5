"""A clerk's morning by keyboard alone, and what a colleague does appears by itself."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from booking.appointments.models import Visit
from booking.appointments.visits import Press, take_step
from booking.db import begin_write, db
from booking.staff.audit import member
from booking.staff.models import Staff
from tests.browser.conftest import House, opened, sign_in
from tests.browser.test_pages import tab_to

pytestmark = pytest.mark.browser

LEAD = "bart.hermans@lindebeek.example.org"


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id"))


def test_a_morning_by_keyboard(house: House, chromium: Browser) -> None:
    with opened(chromium, viewport={"width": 1280, "height": 900}) as office, opened(chromium) as other:
        page, colleague = office.new_page(), other.new_page()
        for one in (page, colleague):
            sign_in(one, house, LEAD)
            one.goto(f"{house.url}/lindebeek/staff/agenda/1")
        waiting = int(colleague.locator(".queue__count").inner_text())
        tab_to(page, "#counter")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#next button")).to_be_visible()

        tab_to(page, ".block")
        first = focused(page)
        page.keyboard.press("ArrowRight")
        assert focused(page) != first
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowDown")
        assert focused(page) not in ("", first)
        page.keyboard.press("ArrowUp")
        assert focused(page) == first
        tab_to(page, ".slot--expected .block")
        key(page, "a")
        for one in (page, colleague):  # the colleague has pressed nothing
            expect(one.locator(".queue__count")).to_have_text(str(waiting + 1))

        key(page, "n")
        expect(page.locator("#panel .mark--called")).to_be_visible()
        key(page, "s")
        expect(page.locator("#panel .mark--served")).to_be_visible()
        key(page, "Escape")
        expect(page.locator("#panel")).to_have_count(0)
        page.wait_for_load_state()  # keys work once the page has its scripts
        page.keyboard.press("?")
        expect(page.locator("#keys dl")).to_be_visible()
        page.keyboard.press("/")
        assert focused(page) == "q"
        page.keyboard.type("maes")
        page.keyboard.press("Enter")
        expect(page.locator("tbody tr").first).to_contain_text("Maes")


def test_the_keys_can_be_switched_off(demo: House, chromium: Browser) -> None:
    with opened(chromium) as office:
        page = office.new_page()
        sign_in(page, demo, LEAD)
        page.goto(f"{demo.url}/lindebeek/staff/agenda/1")
        page.locator("#keys summary").click()
        page.locator("#keys-on").uncheck()
        page.reload()
        page.keyboard.press("/")
        assert focused(page) != "q"


def test_an_agenda_that_gets_no_answer_says_so(demo: House, chromium: Browser) -> None:
    """Nothing turns for ever: what is shown may be old, the page says, and goes on when the network is back."""
    with opened(chromium) as office:
        page = office.new_page()
        sign_in(page, demo, LEAD)
        page.clock.install()
        page.goto(f"{demo.url}/lindebeek/staff/agenda/1")
        expect(page.locator("#offline")).to_be_hidden()
        office.set_offline(True)
        for _ in range(3):
            page.clock.run_for(5_000)
        expect(page.locator("#offline")).to_be_visible()
        office.set_offline(False)
        page.clock.run_for(5_000)
        expect(page.locator("#offline")).to_be_hidden()


def test_a_whole_day_by_keyboard(house: House, chromium: Browser) -> None:
    """From signing in: arrived, called, served, undone, missed, a walk-in, sent on, cancelled, and a day entered."""
    house.clock.advance(hours=2)
    free_the_counters(house)
    with opened(chromium, viewport={"width": 1280, "height": 900}) as office:
        page = office.new_page()
        page.goto(f"{house.url}/lindebeek/staff/sign-in")
        tab_to(page, "#email")
        page.keyboard.type(LEAD)
        tab_to(page, "#password")
        page.keyboard.type(house.sign_ins[LEAD])
        page.keyboard.press("Enter")
        tab_to(page, "#counter")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#next button")).to_be_visible()

        arrive_and_serve(page)
        miss(page)
        send_a_walk_in_on(page)
        cancel(page)
        enter_yesterday(page, house)


def free_the_counters(house: House) -> None:
    """Whoever is at a counter since this morning has been served."""
    with house.app.app_context():
        begin_write()
        lead = db.session.scalars(select(Staff).where(Staff.email == LEAD)).one()
        for visit in db.session.scalars(select(Visit).where(Visit.counter_id.is_not(None))).all():
            take_step("serve", visit, Press(member(lead), house.clock()))
        db.session.commit()


def key(page: Page, name: str) -> None:
    """Presses a key that a script listens to: what was just seen may be there before the script is."""
    page.wait_for_load_state()
    page.keyboard.press(name)


def arrive_and_serve(page: Page) -> None:
    tab_to(page, ".slot--expected .block, .slot--late .block")
    page.keyboard.press("Enter")
    expect(page.locator("#panel")).to_be_visible()
    key(page, "a")
    expect(page.locator("#panel .mark--arrived")).to_be_visible()
    tab_to(page, "#panel [data-step=call]")
    page.keyboard.press("Enter")
    expect(page.locator("#panel .mark--called")).to_be_visible()
    tab_to(page, "#panel [data-step=begin]")
    page.keyboard.press("Enter")
    expect(page.locator("#panel .mark--serving")).to_be_visible()
    key(page, "s")
    expect(page.locator("#panel .mark--served")).to_be_visible()
    tab_to(page, "#panel [data-step=undo]")
    page.keyboard.press("Enter")
    expect(page.locator("#panel .mark--serving")).to_be_visible()
    key(page, "s")
    expect(page.locator("#panel .mark--served")).to_be_visible()
    key(page, "Escape")
    expect(page.locator("#panel")).to_have_count(0)


def miss(page: Page) -> None:
    tab_to(page, ".slot--late .block")
    page.keyboard.press("Enter")
    expect(page.locator("#panel .mark--late")).to_be_visible()
    key(page, "m")
    expect(page.locator("#panel .mark--missed")).to_be_visible()
    key(page, "Escape")
    expect(page.locator("#panel")).to_have_count(0)


def send_a_walk_in_on(page: Page) -> None:
    key(page, "w")
    assert focused(page) == "service"
    tab_to(page, "#walk-in button")
    page.keyboard.press("Enter")
    number = page.locator(".slip__number").inner_text().split()[-1]
    tab_to(page, ".back a")
    page.keyboard.press("Enter")
    waits = page.locator("#queue-list .queue__number", has_text=number)
    expect(waits).to_have_count(1)
    waits.locator("xpath=..").focus()  # where Tab leads to, after those who came before
    page.keyboard.press("Enter")
    tab_to(page, "#forward")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#queue-list .queue__number", has_text=number)).to_have_count(0)


def cancel(page: Page) -> None:
    page.locator(".slot--expected .block").last.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#panel .mark--expected")).to_be_visible()
    key(page, "c")
    tab_to(page, "#cause-illness")
    page.keyboard.press("Space")
    tab_to(page, "main button[type=submit]")
    page.keyboard.press("Enter")
    expect(page.locator("#panel .mark--cancelled")).to_be_visible()
    tab_to(page, "#panel .panel__cancelled button")
    page.keyboard.press("Enter")
    expect(page.locator("#panel .mark--expected")).to_be_visible()


def enter_yesterday(page: Page, house: House) -> None:
    """The appointments of this morning that nobody said anything of, and one who came without."""
    page.goto(f"{house.url}/lindebeek/staff/afterwards/1/2026-11-23")
    count = int(page.locator("#booked .queue__count").inner_text())
    tab_to(page, "#rest")
    page.keyboard.press("ArrowDown")
    tab_to(page, "#came-0")
    page.keyboard.type("0915")
    page.keyboard.press("Enter")
    expect(page.locator(".notice")).to_be_visible()
    expect(page.locator("#booked .queue__count")).to_have_text("0")
    expect(page.locator("#entered .queue__count")).to_have_text("1")
    assert count > 0
