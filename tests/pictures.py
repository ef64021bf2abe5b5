"""Takes the pictures of the README from the demo town hall: make pictures."""

from __future__ import annotations

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import FLAGS, House, running, sign_in
from tests.browser.test_line import crowded, in_line
from tests.conftest import MONDAY, migrated

DOCS = Path(__file__).resolve().parent.parent / "docs"
WHERE = "service/eid_apply"
LOOKS = {  # how the four screens of a citizen are seen
    "light": {"viewport": {"width": 1180, "height": 880}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1180, "height": 880}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
}
LEAD = "bart.hermans@lindebeek.example.org"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/balie.sqlite"
        migrated(url, Path(folder))
        with running(url, Path(folder), MONDAY + timedelta(hours=1, minutes=47)) as house:
            take(house)


def take(house: House) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": 1180, "height": 880}, locale="nl-BE")
        page.goto(f"{house.url}/lindebeek/nl/service/eid_apply")
        page.screenshot(path=DOCS / "booking.png")
        sign_in(page, house, LEAD)
        page.goto(f"{house.url}/lindebeek/staff/agenda/1")
        page.locator(".slot--arrived .block").last.click()
        page.wait_for_selector(".panel")
        page.evaluate("window.scrollTo(0, 0)")
        page.screenshot(path=DOCS / "agenda.png")
        for name, look in LOOKS.items():
            take_screens(browser.new_page(locale="nl-BE", **look), house, name)  # type: ignore[arg-type]
        crowded(house.app, 11, house.clock())
        for name, look in LOOKS.items():
            page = browser.new_page(locale="nl-BE", **look)  # type: ignore[arg-type]
            in_line(page, house, "nl")
            page.locator("#line").scroll_into_view_if_needed()
            page.screenshot(path=DOCS / "screens" / f"5-line-{name}.png")
        browser.close()


def take_screens(page: Page, house: House, look: str) -> None:
    """The four screens from "what do you come for?" to "booked"."""
    folder = DOCS / "screens"
    folder.mkdir(exist_ok=True)
    page.goto(f"{house.url}/lindebeek/nl/")
    page.screenshot(path=folder / f"1-find-{look}.png")
    page.goto(f"{house.url}/lindebeek/nl/{WHERE}")
    page.screenshot(path=folder / f"2-times-{look}.png", full_page=look == "phone")
    page.locator(".first-free").click()
    page.wait_for_selector("form.details")
    page.fill("#name", "M. Peeters")
    page.check("#reach-3")
    page.screenshot(path=folder / f"3-details-{look}.png")
    page.locator("form.details .actions button").click()
    page.wait_for_selector(".ticket")
    page.screenshot(path=folder / f"4-booked-{look}.png")


if __name__ == "__main__":
    main()
