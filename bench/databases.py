"""The databases of a run: built by the migrations, filled by a plan, copied so that each figure finds a fresh one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import Connection, Engine, create_engine, event, text

from bench import bare
from bench.data import fill
from bench.town import Plan, Town, make_town
from booking import create_app
from booking.config import Settings
from booking.db import db
from tests.postgresql import Cluster

KEY = b"the only key of this run and nobody's secret"


@dataclass
class Databases:
    """All databases of one engine: a cluster of PostgreSQL, or files of SQLite in the folder."""

    folder: Path
    cluster: Cluster | None
    towns: dict[str, Town] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)  # appointments that were made

    @property
    def engine(self) -> str:
        return "PostgreSQL" if self.cluster else "SQLite"

    def url(self, name: str) -> str:
        return self.cluster.url(name) if self.cluster else f"sqlite:///{self._file(name)}"

    def build(self, name: str, plan: Plan) -> None:
        """Makes the database of this name as the plan says."""
        self.create(name, lambda: make_town(plan))
        if not plan.is_empty:
            self.fill(name, plan)

    def create(self, name: str, make: Callable[[], Town]) -> None:
        """Makes the database of this name, with the town hall that is made in it."""
        if self.cluster:
            self.cluster.create(name)
        with self.app(name) as app, app.app_context():
            upgrade()
            self.towns[name] = make()

    def build_bare(self) -> None:
        """Makes the database of the bare handlers."""
        if self.cluster:
            self.cluster.create(bare.NAME)
        bare.prepare(self.url(bare.NAME))

    def copy(self, name: str, of: str) -> None:
        """Makes a database that is the same as another, to which nobody may be connected."""
        if self.cluster:
            self.cluster.create(name, template=of)
        else:
            shutil.copy(self._file(of), self._file(name))
        self.towns[name] = self.towns[of]

    @contextmanager
    def app(self, name: str) -> Iterator[Flask]:
        """The application on the database, in this process."""
        self.instance.mkdir(exist_ok=True)
        app = create_app(Settings(database=self.url(name), keys=(KEY,), instance=self.instance))
        try:
            yield app
        finally:
            with app.app_context():
                db.session.remove()
                db.engine.dispose()

    @contextmanager
    def connection(self, name: str) -> Iterator[Connection]:
        """A transaction on the database, past the application; committed at the end."""
        engine = create_engine(self.url(name))
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    @property
    def instance(self) -> Path:
        return self.folder / "instance"

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.sqlite"

    def fill(self, name: str, plan: Plan) -> None:
        """Fills the town hall with appointments, as the plan says."""
        engine = create_engine(self.url(name))
        for_loading(engine)
        with engine.begin() as connection:
            self.counts[name] = fill(connection, plan, self.towns[name])
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in ("VACUUM ANALYZE", "CHECKPOINT") if self.cluster else ("ANALYZE",):
                connection.execute(text(statement))
        engine.dispose()


def for_loading(engine: Engine) -> None:
    """Connections that trust the rows they are given: keys of other tables are not looked up, row by row."""
    is_sqlite = engine.dialect.name == "sqlite"

    @event.listens_for(engine, "connect")
    def _connect(connection: object, _record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        statements = ("PRAGMA foreign_keys=OFF", "PRAGMA synchronous=OFF", "PRAGMA cache_size=-200000")
        for statement in statements if is_sqlite else ("SET session_replication_role = replica",):
            cursor.execute(statement)
        cursor.close()
        connection.commit()  # type: ignore[attr-defined]
