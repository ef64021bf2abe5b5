"""The first start in a browser, by keyboard: from an empty database to a booked appointment."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from werkzeug.serving import make_server

from booking import create_app, links
from booking.config import Settings
from booking.db import db
from tests.browser.conftest import opened
from tests.browser.test_pages import judge, tab_to
from tests.conftest import KEYS, Clock
from tests.test_begin import TYPED

pytestmark = pytest.mark.browser

TYPED_TEXTS = ("name", "slug", "phone", "email", "address", "desk", "service", "your_name", "your_email", "password")


def test_a_new_town_takes_its_first_booking_within_ten_minutes(
    database: str, tmp_path: Path, chromium: Browser
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    app = create_app(Settings(database=database, keys=KEYS, instance=tmp_path, url=url), clock=Clock())
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with opened(chromium, viewport={"width": 320, "height": 900}) as context:
            begin_and_book(context.new_page(), url)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        with app.app_context():
            db.engine.dispose()


def begin_and_book(page: Page, url: str) -> None:
    began = time.monotonic()
    page.goto(f"{url}/begin/{links.token(KEYS, 'begin', 0, 0)}")
    judge(page, "nl")
    for name in TYPED_TEXTS:
        tab_to(page, f"#{name}")
        page.keyboard.type(str(TYPED[name]))
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Reispas")
    page.locator(".first-free").click()
    page.fill("#name", "Eerste Burger")
    page.check("#reach-3")
    page.locator("form.details .actions button").click()
    expect(page.locator(".ticket")).to_be_visible()
    typed = sum(len(str(TYPED[name])) for name in TYPED_TEXTS)
    # A person types two characters a second: what the machine took and what the hands take stay far below ten minutes.
    assert time.monotonic() - began + typed / 2 < 600
