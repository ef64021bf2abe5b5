"""When the database is away: calendars keep what they had, citizens get a page that says so."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from booking import create_app
from booking.calendars.models import Feed
from booking.calendars.subscriptions import feed_token
from booking.config import Settings
from booking.db import db
from tests.conftest import KEYS, Clock
from tests.factories import make_town
from tests.pages import Visitor
from tests.postgresql import Cluster

pytestmark = pytest.mark.calendars


@pytest.fixture
def doomed(cluster: Cluster, tmp_path: Path, clock: Clock) -> Iterator[tuple[Flask, str, str]]:
    """An application with a feed, the feed's path, and the name of the database that can be dropped under it."""
    name = f"balie_{uuid.uuid4().hex}"
    cluster.create(name, template="template_balie")
    app = create_app(Settings(database=cluster.url(name), keys=KEYS, instance=tmp_path), clock=clock)
    with app.app_context():
        town = make_town()
        feed = Feed(municipality_id=town.municipality_id, desk_id=town.desk_id, name="Civil", made_at=clock())
        db.session.add(feed)
        db.session.commit()
        path = f"/testdorp/feeds/{feed_token(KEYS, feed)}.ics"
    yield app, path, name
    with app.app_context():
        db.engine.dispose()


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
