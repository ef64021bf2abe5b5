"""When the database is away: calendars keep what they had, citizens get a page that says so."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory
from threading import Event, Thread

import pytest
from flask import Flask

from booking import create_app, silence
from booking.calendars.models import Feed
from booking.calendars.subscriptions import feed_token
from booking.config import Settings
from booking.db import db
from tests.conftest import KEYS, Clock
from tests.factories import make_town
from tests.pages import Page, Visitor
from tests.postgresql import Cluster
from tests.processes import PATIENCE, clone

pytestmark = pytest.mark.calendars


@pytest.fixture
def doomed(cluster: Cluster, tmp_path: Path, clock: Clock) -> Iterator[tuple[Flask, str, str]]:
    """An application with a feed, the feed's path, and the name of the database that can be dropped under it."""
    name = f"balie_{uuid.uuid4().hex}"
    cluster.create(name, template="template_balie")
    app = create_app(Settings(database=cluster.url(name), keys=KEYS, instance=tmp_path), clock=clock)
    yield app, feed_path(app, clock), name
    with app.app_context():
        db.engine.dispose()


def feed_path(app: Flask, clock: Clock) -> str:
    """Makes a town with a feed."""
    with app.app_context():
        town = make_town()
        feed = Feed(municipality_id=town.municipality_id, desk_id=town.desk_id, name="Civil", made_at=clock())
        db.session.add(feed)
        db.session.commit()
        return f"/testdorp/feeds/{feed_token(KEYS, feed)}.ics"


def test_a_feed_is_served_from_memory_for_a_day(doomed: tuple[Flask, str, str], cluster: Cluster, clock: Clock) -> None:
    app, path, name = doomed
    visitor = Visitor(app)
    before = visitor.get(path)
    assert before.status == 200
    cluster.drop(name)

    during = visitor.get(path)
    assert during.status == 200
    assert during.response.data == before.response.data
    assert visitor.get(path, **{"If-None-Match": before.response.headers["ETag"]}).status == 304

    clock.advance(hours=25)
    assert visitor.get(path).status == 503


def test_a_page_says_that_the_database_is_away(doomed: tuple[Flask, str, str], cluster: Cluster) -> None:
    app, _path, name = doomed
    cluster.drop(name)

    page = Visitor(app).get("/testdorp/fr/", **{"Accept-Language": "fr"})

    assert page.status == 503
    assert "De retour dans une minute" in page.text


class Network:
    """A way to the database that can go dead: what is sent stays under way, and nobody learns of it."""

    def __init__(self, folder: Path, database: Path) -> None:
        self.folder, self._database = folder, database
        self.flows = Event()
        self.flows.set()
        self.connections = 0
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(folder / ".s.PGSQL.5432"))
        self._door.listen()
        self._open: list[socket.socket] = []

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                ours, _ = self._door.accept()
                theirs = socket.socket(socket.AF_UNIX)
                theirs.connect(str(self._database / ".s.PGSQL.5432"))
                self.connections += 1
                self._open += [ours, theirs]
                for way in ((ours, theirs), (theirs, ours)):
                    Thread(target=self._carry, args=way, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self.flows.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.flows.set()
        for one in (self._door, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@pytest.fixture
def network(cluster: Cluster) -> Iterator[Network]:
    with TemporaryDirectory() as folder:
        made = Network(Path(folder), cluster.socket)
        Thread(target=made.serve, daemon=True).start()
        yield made
        made.close()


@pytest.fixture
def behind(
    network: Network, cluster: Cluster, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Flask, str]]:
    """An application that reaches its database through the network, with a feed, and the feed's path."""
    with clone(cluster) as address:
        reached = address.replace(str(cluster.socket), str(network.folder))
        app = create_app(Settings(database=reached, keys=KEYS, instance=tmp_path), clock=clock)
        path = feed_path(app, clock)
        monkeypatch.setattr(silence, "LIMIT", 0.1)
        yield app, path
        network.flows.set()
        with app.app_context():
            db.engine.dispose()


def test_a_database_that_hangs_keeps_nobody_waiting(
    behind: tuple[Flask, str], network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, path = behind
    visitor = Visitor(app)
    before = visitor.get(path)
    monkeypatch.setattr(silence, "PAUSE", 3600)
    network.flows.clear()

    during = at_last(lambda: visitor.get(path))
    assert (during.status, during.response.data) == (200, before.response.data)
    tried = network.connections
    assert at_last(lambda: visitor.get("/testdorp/nl/")).status == 503
    assert network.connections == tried  # it was told at once

    monkeypatch.setattr(silence, "PAUSE", 0)
    silence._silent_until.clear()
    assert at_last(lambda: visitor.get("/testdorp/nl/")).status == 503  # a new connection gets no word either
    assert network.connections == tried + 1
    network.flows.set()
    assert at_last(lambda: visitor.get("/testdorp/nl/")).status == 200

    with app.app_context():
        silence._silent_until[db.engine] = 0  # long ago: this one tries
        network.close()
        assert at_last(lambda: visitor.get("/testdorp/nl/")).status == 503
        assert db.engine not in silence._silent_until  # a refusal is a word, too: the next one tries as well


def test_a_form_does_not_wait_for_a_database_that_hangs(behind: tuple[Flask, str], network: Network) -> None:
    """What writes tries its connection by beginning."""
    app, _path = behind
    network.flows.clear()

    assert at_last(lambda: Visitor(app).post("/testdorp/nl/hold", {})).status == 503


def at_last(call: Callable[[], Page]) -> Page:
    """What the call gives, if it ends at all."""
    found: Queue[Page] = Queue()
    Thread(target=lambda: found.put(call()), daemon=True).start()
    return found.get(timeout=PATIENCE)
