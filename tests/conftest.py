"""What every test stands on: a migrated database of its own, on SQLite and on PostgreSQL, and a clock that is given."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import upgrade
from hypothesis import settings as hypothesis_settings
from jinja2 import FileSystemBytecodeCache

from booking import create_app
from booking.config import Settings
from booking.db import db
from booking.staff.models import Role
from tests import factories
from tests.postgresql import Cluster, start_cluster

MONDAY = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)  # nine o'clock in Brussels
KEYS = (b"the first key of the tests, 32 characters",)

hypothesis_settings.register_profile("whole", deadline=None, max_examples=100)
hypothesis_settings.register_profile("quick", deadline=None, max_examples=15)
hypothesis_settings.load_profile("quick" if os.environ.get("BALIE_QUICK") else "whole")


class Clock:
    """The time of a test: it stands still until it is moved."""

    def __init__(self, now: datetime = MONDAY) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A PostgreSQL server of our own, with a migrated database to clone."""
    with start_cluster() as running:
        running.create("template_balie")
        migrated(running.url("template_balie"), tmp_path_factory.mktemp("instance"))
        yield running


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sqlite")
    migrated(f"sqlite:///{folder / 'template.sqlite'}", folder)
    return folder / "template.sqlite"


def migrated(url: str, instance: Path) -> None:
    """Brings the database up to the newest schema."""
    app = create_app(Settings(database=url, keys=KEYS, instance=instance))
    with app.app_context():
        upgrade()
        db.session.remove()
        db.engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty, migrated database; every test that asks for it runs on both engines."""
    if request.param == "sqlite":
        template = request.getfixturevalue("sqlite_template")
        shutil.copy(template, tmp_path / "balie.sqlite")
        yield f"sqlite:///{tmp_path / 'balie.sqlite'}"
        return
    cluster: Cluster = request.getfixturevalue("cluster")
    name = f"balie_{uuid.uuid4().hex}"
    cluster.create(name, template="template_balie")
    yield cluster.url(name)
    cluster.drop(name)


@pytest.fixture
def settings(database: str, tmp_path: Path) -> Settings:
    return Settings(database=database, keys=KEYS, instance=tmp_path / "instance")


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """Templates are compiled once, not again by the application of each test."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def app(settings: Settings, clock: Clock, compiled_templates: FileSystemBytecodeCache) -> Iterator[Flask]:
    """The application on its own database. No context is pushed: a forgotten commit shows."""
    settings.instance.mkdir(exist_ok=True)
    app = create_app(settings, clock=clock)
    app.jinja_env.bytecode_cache = compiled_templates
    yield app
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def context(app: Flask) -> Iterator[Flask]:
    """An application context, for tests of the rules below the web."""
    with app.app_context():
        yield app
        db.session.rollback()


@pytest.fixture
def town(app: Flask) -> factories.Town:
    """A small town, committed: see factories.make_town."""
    with app.app_context():
        made = factories.make_town()
        db.session.commit()
    return made


@pytest.fixture
def management(app: Flask, town: factories.Town) -> None:
    """Ann administers the town, Mia manages it, Dora manages one desk, Bob leads all desks; they read English."""
    with app.app_context():
        for name, role, desk_id in (
            ("ann", Role.ADMINISTRATOR, None),
            ("mia", Role.MANAGER, None),
            ("dora", Role.MANAGER, town.desk_id),
            ("bob", Role.LEAD, None),
        ):
            factories.make_staff(town.municipality_id, f"{name}@{town.slug}.example.org", role, desk_id).language = "en"
        db.session.commit()
