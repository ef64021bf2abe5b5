"""The demo town hall behind a real server, and a real Chromium in front of it."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from werkzeug.serving import make_server

from booking import create_app
from booking.config import Settings
from booking.db import db
from booking.demo.town import build_demo, demo_sign_ins
from tests.conftest import KEYS, MONDAY, Clock

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

expect.set_options(timeout=30_000)  # a machine that does much else at once is slow, not wrong

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True)
class House:
    """A running demo town hall: its address, its clock, its application, and who may sign in (e-mail → password)."""

    url: str
    clock: Clock
    app: Flask
    sign_ins: dict[str, str]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "Chromium is not installed. Run: sudo apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def demo(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One demo town hall for tests that only look; whoever books or moves the clock takes `house`."""
    folder = tmp_path_factory.mktemp("demo")
    shutil.copy(sqlite_template, folder / "balie.sqlite")
    with running(f"sqlite:///{folder / 'balie.sqlite'}", folder) as house:
        yield house


@pytest.fixture
def house(database: str, tmp_path: Path) -> Iterator[House]:
    """A demo town hall of the test's own, on each database."""
    with running(database, tmp_path) as house:
        yield house


def in_one_piece(app: WSGIApplication) -> WSGIApplication:
    """Reads each answer before it is sent: the server of the tests leaves files open when a browser hangs up."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        parts = app(environ, start_response)
        try:
            return [b"".join(parts)]
        finally:
            if hasattr(parts, "close"):
                parts.close()

    return answer


@contextmanager
def running(
    database: str, folder: Path, now: datetime = MONDAY, build: Callable[[], None] | None = None
) -> Iterator[House]:
    """Builds the demo as of `now`, or another town, and serves it on a free port until the test is over."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    clock, url = Clock(now), f"http://127.0.0.1:{port}"
    app = create_app(Settings(database=database, keys=KEYS, instance=folder, url=url), clock=clock)
    with app.app_context():
        build() if build else build_demo(clock(), KEYS, lambda _words: None)
        db.session.remove()
    server = make_server("127.0.0.1", port, in_one_piece(app), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield House(url, clock, app, {one.email: one.password for one in demo_sign_ins(KEYS)})
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        with app.app_context():
            db.engine.dispose()


@contextmanager
def opened(browser: Browser, **options: object) -> Iterator[BrowserContext]:
    """A fresh browser profile; a page that breaks our own content policy fails the test."""
    context = browser.new_context(**{"locale": "nl-BE", **options})  # type: ignore[arg-type]
    complaints: list[str] = []
    context.on(
        "console", lambda message: complaints.append(message.text) if "Content Security" in message.text else None
    )
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    yield context
    context.close()
    assert not complaints


def sign_in(page: Page, house: House, email: str) -> None:
    page.goto(f"{house.url}/lindebeek/staff/sign-in")
    page.fill("#email", email)
    page.fill("#password", house.sign_ins[email])
    with page.expect_navigation():  # what follows finds somebody signed in
        page.click("main button[type=submit]")
