"""Takes the pictures of the README from the demo town hall: make pictures."""

from __future__ import annotations

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.conftest import FLAGS, House, running, sign_in
from tests.conftest import MONDAY, migrated

DOCS = Path(__file__).resolve().parent.parent / "docs"
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
        browser.close()


if __name__ == "__main__":
    main()
