"""The page of times as a screen reader gets it, kept as a text in docs/accessibility-tree.md: anyone sees a change.

`python -m tests.browser.test_heard` writes it again (as `make pictures` does). Then read it aloud.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from booking.config import ROOT
from booking.db import db
from booking.townhall.models import CounterService, Desk, Municipality, OpeningHours, Service
from tests.browser.conftest import FLAGS, House, opened, running
from tests.conftest import migrated
from tests.factories import make_counter, make_desk, make_hours, make_office, make_town

pytestmark = pytest.mark.browser

KEPT = ROOT / "docs" / "accessibility-tree.md"
BEGIN, END = "```yaml\n", "```\n"


def build_small_town() -> None:
    """Two offices with few times, so that the page can be read through."""
    town = make_town(counters=1)
    municipality = db.session.get_one(Municipality, town.municipality_id)
    db.session.query(OpeningHours).filter(OpeningHours.weekday > 2).delete()
    second = make_desk(make_office(municipality, 2))
    second.office.names = {"en": "District office", "nl": "Districtshuis"}
    counter = make_counter(second, 2)
    make_hours(counter, 1, 9 * 60, 11 * 60)
    db.session.add(CounterService(counter_id=counter.id, service_id=town.passport_id))
    for desk in db.session.query(Desk):
        desk.step_minutes = 60
    service = db.session.get_one(Service, town.passport_id)
    service.max_days_ahead, service.max_people = 8, 2
    db.session.commit()


def heard(browser: Browser, house: House) -> str:
    """The tree without the addresses of links."""
    with opened(browser, viewport={"width": 1280, "height": 800}, locale="en-GB") as context:
        page = context.new_page()
        page.goto(f"{house.url}/testdorp/en/service/passport")
        lines = page.locator("body").aria_snapshot().splitlines()
    kept = "\n".join(line for line in lines if "- /url:" not in line)
    return re.sub(r"^(\s*- link .*):$", r"\1", kept, flags=re.MULTILINE) + "\n"


def parts() -> tuple[str, str, str]:
    """The page of the documentation: before the tree, the tree, after it."""
    before, _, rest = KEPT.read_text().partition(BEGIN)
    tree, _, after = rest.partition(END)
    return before, tree, after


def test_the_page_of_times_is_heard_as_the_documentation_says(
    sqlite_template: Path, tmp_path: Path, chromium: Browser
) -> None:
    shutil.copy(sqlite_template, tmp_path / "balie.sqlite")
    with running(f"sqlite:///{tmp_path / 'balie.sqlite'}", tmp_path, build=build_small_town) as house:
        assert heard(chromium, house) == parts()[1]


def write() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        url = f"sqlite:///{folder}/balie.sqlite"
        migrated(url, Path(folder))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        with running(url, Path(folder), build=build_small_town) as house:
            before, _, after = parts()
            KEPT.write_text(before + BEGIN + heard(browser, house) + END + after)
        browser.close()


if __name__ == "__main__":
    write()
