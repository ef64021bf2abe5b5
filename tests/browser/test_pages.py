"""Every page as a browser draws it: nothing that axe finds, nothing that sticks out, the keyboard gets everywhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import House, opened, sign_in

pytestmark = pytest.mark.browser

ADMINISTRATOR = "katrien.vandewalle@lindebeek.example.org"
SEVERAL = "service=eid_apply.2&service=build_pre_simple&service=business_register"
LOOKS = [(320, "dark", "de"), (768, "light", "fr"), (1280, "light", "nl"), (1280, "dark", "en")]


def details_page(page: Page) -> None:
    page.locator(".first-free").click()
    page.wait_for_selector("form.details")


def with_errors(page: Page) -> None:
    details_page(page)
    page.locator("form.details .actions button").click()
    page.wait_for_selector("#problems")


def booked(page: Page) -> None:
    details_page(page)
    page.fill("#name", "Wilhelmina van der Vijver-Vandenbroucke Oudenaarde-Schoonjans")
    page.check("#reach-3")
    page.locator("form.details .actions button").click()
    page.wait_for_selector(".ticket")


def ways_into_calendars(page: Page) -> None:
    booked(page)
    page.locator(".add summary").click()
    page.wait_for_selector(".add__ways")


def moving(page: Page) -> None:
    booked(page)
    page.locator("a[href$='/move']").click()
    page.wait_for_selector(".first-free")


def cancelling(page: Page) -> None:
    booked(page)
    page.locator("a[href$='/cancel']").click()
    page.wait_for_selector("main form")


def cancelled(page: Page) -> None:
    cancelling(page)
    page.locator("main form button").click()
    page.wait_for_selector(".ticket--cancelled")


def found_errors(page: Page) -> None:
    page.locator("main .actions button").click()
    page.wait_for_selector("#problems")


def holding_too_much(page: Page) -> None:
    """An old cookie is sent again and again, and holds one time after the other, each for another number of people."""
    address, kept = page.url, page.context.cookies()
    for people, then in ((2, ".hold"), (3, ".hold"), (4, ".hold"), (1, ".nearest")):
        page.context.clear_cookies()
        page.context.add_cookies(kept)  # type: ignore[arg-type]
        page.goto(f"{address}?people={people}")
        page.locator(".first-free").click()
        page.wait_for_selector(then)


def needing_help(page: Page) -> None:
    details_page(page)
    page.locator(".boxes summary").click()


def moving_all(page: Page) -> None:
    booked(page)
    page.locator("a[href$='/visit/move']").click()
    page.wait_for_selector(".first-free")


def cancelling_all(page: Page) -> None:
    booked(page)
    page.locator(".apart summary").click()
    page.locator("a[href$='/visit/cancel']").click()
    page.wait_for_selector("main form")


def hold_ending(page: Page) -> None:
    after(page, "15:01")


def hold_over(page: Page) -> None:
    after(page, "20:01")


def after(page: Page, time: str) -> None:
    """The form when so much of the time that is kept for it is over."""
    page.clock.install()
    details_page(page)
    said = page.locator("#hold-words").inner_text()
    page.clock.run_for(time)
    expect(page.locator("#hold-words")).not_to_have_text(said)


def taken(page: Page) -> None:
    """A time that somebody else has, by the button of a page that is no longer true."""
    page.locator(".first-free").evaluate("one => { one.value = `${one.value.split('.')[0]}.5987333`; }")
    page.locator(".first-free").click()
    page.wait_for_selector(".near")


def nothing(_page: Page) -> None:
    return


CITIZEN: list[tuple[str, str, Callable[[Page], None]]] = [
    ("home", "", nothing),
    ("search", "services?q=pas", nothing),
    ("nothing-found", "services?q=xylofoon", nothing),
    ("desk", "services?desk=building", nothing),
    ("service", "service/passport_adult?people=2", nothing),
    ("two-offices", "service/eid_apply", nothing),
    ("questions", "service/eid_apply/questions?a=0", nothing),
    ("no-answer", "service/eid_apply/questions?a=0&step=2", nothing),
    ("need-not-come", "service/passport_adult/questions?a=1", nothing),
    ("month", "service/eid_apply?month=2026-12", nothing),
    ("nothing-free", "service/permit_intake?at=saturday", nothing),
    ("limit", "service/passport_minor", holding_too_much),
    ("several", f"visit?{SEVERAL}", nothing),
    ("add-service", "visit/add?service=eid_apply.1", nothing),
    ("several-details", f"visit?{SEVERAL}", needing_help),
    ("several-booked", f"visit?{SEVERAL}", booked),
    ("several-move", f"visit?{SEVERAL}", moving_all),
    ("several-cancel", f"visit?{SEVERAL}", cancelling_all),
    ("details", "service/business_register", details_page),
    ("needs", "service/business_register", needing_help),
    ("hold-ending", "service/business_register", hold_ending),
    ("hold-over", "service/business_register", hold_over),
    ("taken", "service/eid_apply", taken),
    ("errors", "service/business_register", with_errors),
    ("booked", "service/business_register", booked),
    ("ways", "service/business_register", ways_into_calendars),
    ("move", "service/business_register", moving),
    ("cancel", "service/business_register", cancelling),
    ("cancelled", "service/business_register", cancelled),
    ("accessibility", "accessibility", nothing),
    ("find", "find", nothing),
    ("find-errors", "find", found_errors),
    ("not-found", "nothing", nothing),
]
STAFF = [
    "agenda/{desk}",
    "agenda/{desk}?view=list",
    "agenda/{desk}/2026-11-22",
    "search?q=maes",
    "book",
    "counter/1",
    "queue/1",
    "week/1/2026-11-23",
    "devices",
    "book?q=reispas",
    "feeds",
    "feeds/new",
    "feeds/1",
    "outbox",
    "outbox/preview?kind=reminder&tongue=de",
    "calls",
    "recount",
]


@pytest.mark.parametrize(("width", "scheme", "language"), LOOKS, ids=str)
@pytest.mark.parametrize(("path", "then"), [one[1:] for one in CITIZEN], ids=[one[0] for one in CITIZEN])
def test_a_citizens_page(
    demo: House, chromium: Browser, path: str, then: Callable[[Page], None], width: int, scheme: str, language: str
) -> None:
    with opened(chromium, viewport={"width": width, "height": 800}, color_scheme=scheme) as context:
        page = context.new_page()
        page.goto(f"{demo.url}/lindebeek/{language}/{path}")
        then(page)
        judge(page, language)
        assert small_targets(page) == []


TWICE = ["home", "search", "two-offices", "questions", "month", "several", "needs", "errors", "booked", "find-errors"]


@pytest.mark.parametrize("name", TWICE)
def test_a_citizens_page_with_text_twice_as_large(demo: House, chromium: Browser, name: str) -> None:
    path, then = next(one[1:] for one in CITIZEN if one[0] == name)
    with opened(chromium, viewport={"width": 1280, "height": 800}) as context:
        page = context.new_page()
        page.goto(f"{demo.url}/lindebeek/de/{path}")
        then(page)
        page.evaluate("document.documentElement.style.fontSize = '200%'")
        judge(page, "de")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_staff_pages(demo: House, chromium: Browser, scheme: str) -> None:
    for width in (320, 1280):
        with opened(chromium, viewport={"width": width, "height": 900}, color_scheme=scheme) as context:
            page = context.new_page()
            page.goto(f"{demo.url}/lindebeek/staff/sign-in")
            judge(page, "nl")
            sign_in(page, demo, ADMINISTRATOR)
            for path in STAFF:
                page.goto(f"{demo.url}/lindebeek/staff/{path.format(desk=1)}")
                judge(page, "nl")
            page.goto(f"{demo.url}/lindebeek/staff/agenda/1")
            page.locator(".block").first.click()
            page.wait_for_selector(".panel")
            judge(page, "nl")


def test_a_booking_by_keyboard_alone(demo: House, chromium: Browser) -> None:
    with opened(chromium) as context:
        page = context.new_page()
        page.goto(f"{demo.url}/lindebeek/nl/")
        tab_to(page, "#q")
        page.keyboard.type("zaak aanmelden")
        page.keyboard.press("Enter")
        tab_to(page, ".choices a")
        page.keyboard.press("Enter")
        tab_to(page, ".first-free")
        page.keyboard.press("Enter")
        tab_to(page, "#name")
        page.keyboard.type("K. Toets")
        tab_to(page, "#reach-0")
        for _ in range(3):
            page.keyboard.press("ArrowDown")
        tab_to(page, "form.details .actions button")
        page.keyboard.press("Enter")
        expect(page.locator(".ticket")).to_be_visible()


def tab_to(page: Page, selector: str) -> None:
    """Presses Tab until the focus is on the element; what has the focus can be seen."""
    page.wait_for_selector(selector)
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
            box = page.locator(":focus").bounding_box()
            assert box and box["width"] > 0 and box["height"] > 0
            return
    raise AssertionError(f"the keyboard never reached {selector}")


def small_targets(page: Page) -> list[str]:
    """What can be pressed and is less than 24 pixels high or wide (WCAG 2.2, 2.5.8); links inside a sentence may be.

    A box or a circle counts with its label, which can be pressed as well.
    """
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('a[href], button, summary, input:not([type=hidden]), select')]
            .filter(one => one.checkVisibility() && !one.closest('.unseen') && !one.matches('.skip'))
            .filter(one => {
                const words = one.matches('a') && getComputedStyle(one).display === 'inline'
                    && [...one.parentElement.childNodes].some(node => node !== one && node.nodeType === 3
                        && node.textContent.trim());
                const target = one.matches('[type=radio], [type=checkbox]') ? one.closest('.kern-form-check') : one;
                const {width, height} = target.getBoundingClientRect();
                return !words && (Math.round(width) < 24 || Math.round(height) < 24);
            })
            .map(one => `${one.getBoundingClientRect().height} ${one.outerHTML.slice(0, 160)}`)"""
    )
    return found


def judge(page: Page, language: str) -> None:
    """One heading, the right language, nothing wider than the screen, targets large enough, no finding of axe."""
    assert page.locator("h1").count() == 1
    assert page.locator("html").get_attribute("lang") == language
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = page.evaluate(
        """() => [...document.querySelectorAll('main button, main .kern-btn')]
            .filter(one => one.offsetParent && one.getBoundingClientRect().height < 24)
            .map(one => one.outerHTML.slice(0, 120))"""
    )
    assert not small
    found = Axe().run(page).response["violations"]
    assert not found, [(one["id"], [node["html"][:160] for node in one["nodes"]][:3]) for one in found]
