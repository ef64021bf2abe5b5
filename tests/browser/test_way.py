"""The citizen's way in Chromium: few keys, no mouse, little to load, nothing that jumps, and heard as it is seen."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import House, opened
from tests.browser.test_pages import tab_to

pytestmark = pytest.mark.browser

SEVERAL_KEYS = 30  # beside typing, from the first service to both booked
FIRST_LOAD = 100_000  # bytes over the wire, without fonts
SHIFTS = """
    window.shifted = 0;
    new PerformanceObserver(list => list.getEntries().forEach(one => window.shifted += one.value))
        .observe({type: "layout-shift", buffered: true});
"""


class Keys:
    """A keyboard that counts what is pressed; letters that are typed into a field are not counted."""

    def __init__(self, page: Page) -> None:
        self.page, self.pressed = page, 0

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.pressed += 1

    def focus_is_on(self, selector: str) -> None:
        """Whatever has the focus is there to be seen."""
        expect(self.page.locator(":focus")).to_be_visible()
        assert self.page.evaluate("wanted => document.activeElement.matches(wanted)", selector), selector


def test_from_the_front_page_to_booked_in_four_screens_and_twelve_keys(house: House, chromium: Browser) -> None:
    with opened(chromium) as context:
        page = context.new_page()
        page.goto(f"{house.url}/lindebeek/nl/")
        screens, keys = [page.url], Keys(page)
        page.on("framenavigated", lambda frame: screens.append(frame.url) if "#" not in frame.url else None)
        keys.press("Tab", "Tab", "Enter", "Enter")  # the second way to skip leads to the service most wanted
        page.wait_for_selector(".first-free")
        keys.press("Tab", "Enter")
        keys.focus_is_on("#first-free")
        keys.press("Enter")
        page.wait_for_selector("form.details")
        if not page.locator("#name:focus").count():
            keys.press("Tab", "Enter")
        keys.focus_is_on("#name")
        page.keyboard.type("M. Peeters")
        keys.press("Tab", "Tab")
        keys.focus_is_on("#email")
        page.keyboard.type("m.peeters@example.org")
        keys.press("Enter")

        expect(page.locator(".ticket")).to_be_visible()
        assert keys.pressed <= 12
        assert len(screens) <= 4, screens


def test_two_services_in_one_visit_by_keyboard(house: House, chromium: Browser) -> None:
    """From a service to both booked: one more screen than for one, and keys to find the second."""
    with opened(chromium) as context:
        page = context.new_page()
        page.goto(f"{house.url}/lindebeek/nl/service/eid_apply")
        keys = Keys(page)
        tab_counted(keys, ".more a")
        keys.press("Enter")
        page.wait_for_selector("#q")
        keys.press("Tab", "Enter")
        keys.focus_is_on("#q")
        page.keyboard.type("reispas")
        keys.press("Enter")
        page.wait_for_selector("#first")
        keys.press("Tab", "Enter")
        keys.focus_is_on("#first")
        keys.press("Enter")
        page.wait_for_selector(".basket")
        keys.press("Tab", "Enter")
        keys.focus_is_on("#first-free")
        keys.press("Enter")
        page.wait_for_selector("form.details")
        keys.press("Tab", "Enter")
        keys.focus_is_on("#name")
        page.keyboard.type("M. Peeters")
        keys.press("Tab", "Tab")
        keys.focus_is_on("#email")
        page.keyboard.type("m.peeters@example.org")
        keys.press("Enter")

        expect(page.locator(".ticket")).to_be_visible()
        assert keys.pressed <= SEVERAL_KEYS


def tab_counted(keys: Keys, selector: str) -> None:
    """Presses Tab until the focus is there, and counts."""
    for _ in range(60):
        keys.press("Tab")
        if keys.page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
            return
    raise AssertionError(f"the keyboard never reached {selector}")


@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without-scripts"])
def test_booked_moved_and_cancelled_by_keyboard_on_a_small_screen(
    house: House, chromium: Browser, scripts: bool
) -> None:
    with opened(chromium, viewport={"width": 320, "height": 640}, java_script_enabled=True) as context:
        page = context.new_page()
        if not scripts:
            page.route("**/*.js*", lambda route: route.abort())
        page.goto(f"{house.url}/lindebeek/de/service/passport_adult")
        for stop in (".first-free", "#name", "#reach-0"):
            tab_to(page, stop)
            if stop == "#name":
                page.keyboard.type("K. Toets")
            elif stop == ".first-free":
                page.keyboard.press("Enter")
        for _ in range(3):
            page.keyboard.press("ArrowDown")
        tab_to(page, "form.details .actions button")
        page.keyboard.press("Enter")
        expect(page.locator(".ticket")).to_be_visible()
        before = page.locator(".ticket__when").text_content() or ""
        tab_to(page, "a[href$='/move']")
        page.keyboard.press("Enter")
        tab_to(page, ".clock")
        page.keyboard.press("Enter")
        expect(page.locator(".ticket__when")).not_to_have_text(before)
        tab_to(page, "a[href$='/cancel']")
        page.keyboard.press("Enter")
        tab_to(page, "main form button")
        page.keyboard.press("Enter")
        expect(page.locator(".ticket--cancelled")).to_be_visible()


@pytest.mark.parametrize("path", ["", "services?q=pas", "service/eid_apply", "accessibility"])
def test_a_first_load_is_small_stays_at_home_and_does_not_jump(demo: House, chromium: Browser, path: str) -> None:
    with opened(chromium, viewport={"width": 390, "height": 844}) as context:
        page = context.new_page()
        page.add_init_script(SHIFTS)
        wire = context.new_cdp_session(page)
        wire.send("Network.enable")
        kinds: dict[str, str] = {}
        sizes: dict[str, float] = {}
        hosts: set[str | None] = set()

        def answered(event: dict[str, Any]) -> None:
            kinds[event["requestId"]] = event["type"]
            hosts.add(urlsplit(event["response"]["url"]).hostname)

        wire.on("Network.responseReceived", answered)
        wire.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}))
        page.goto(f"{demo.url}/lindebeek/nl/{path}", wait_until="networkidle")

        assert sum(size for id, size in sizes.items() if kinds.get(id) != "Font") <= FIRST_LOAD
        assert hosts <= {"127.0.0.1", None}
        assert page.evaluate("window.shifted") <= 0.02


def test_a_slow_network_is_enough(demo: House, chromium: Browser) -> None:
    """Half a second away and 50 kilobytes a second: the times are there, and a button answers."""
    with opened(chromium) as context:
        page = context.new_page()
        wire = context.new_cdp_session(page)
        wire.send("Network.enable")
        slow = {"offline": False, "latency": 500, "downloadThroughput": 50_000, "uploadThroughput": 20_000}
        wire.send("Network.emulateNetworkConditions", slow)
        page.goto(f"{demo.url}/lindebeek/nl/service/build_info", wait_until="commit")
        expect(page.locator(".first-free")).to_be_visible()
        page.locator(".first-free").click()
        expect(page.locator("form.details")).to_be_visible()


def test_the_page_of_times_is_heard_as_it_is_seen(demo: House, chromium: Browser) -> None:
    with opened(chromium, locale="en-GB") as context:
        page = context.new_page()
        page.goto(f"{demo.url}/lindebeek/en/service/eid_apply")
        heard = page.locator("main").aria_snapshot()

    lines = [line.strip() for line in heard.splitlines()]
    assert lines.index('- heading "Apply for an identity card (eID)" [level=1]') < lines.index(
        '- heading "Choose a time" [level=2]'
    )
    first = next(line for line in lines if line.startswith('- button "First free time'))
    assert ("November" in first and "Lindebeek" in first) or "Wijnegoor" in first
    days = [line for line in lines if line.startswith("- heading") and line.endswith("[level=3]") and "day" in line]
    assert len(days) >= 5
    times = [line for line in lines if line.startswith('- button "') and "First free" not in line]
    assert times and all("day" in line and ":" in line for line in times)  # each says its date
