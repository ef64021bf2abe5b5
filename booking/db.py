"""The database door: the base of all tables, the one column type for moments, and how connections begin."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    JSON,
    BigInteger,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Enum,
    Executable,
    Integer,
    MetaData,
    Row,
    event,
    inspect,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import TypeDecorator

WRITES = "balie_writes"


class UtcDateTime(TypeDecorator[datetime]):
    """A moment. Takes aware datetimes only, stores UTC, and gives aware UTC back on every database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone: a moment is stored as UTC, so pass an aware datetime.")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """All tables. Constraint names follow one pattern, so that a refusal of the database can be recognised."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        datetime: UtcDateTime(),
        dict[str, Any]: JSON,
        dict[str, str]: JSON,
        list[str]: JSON,
        list[dict[str, Any]]: JSON,
    }


BigKey = BigInteger().with_variant(Integer, "sqlite")

db = SQLAlchemy(metadata=Base.metadata)


def key() -> Any:
    """A primary key that the database counts up."""
    return mapped_column(BigKey, primary_key=True)


def choice(kind: type[StrEnum], name: str) -> Enum:
    """A column type that holds one of the words of `kind`; the database refuses any other."""
    return Enum(
        kind,
        name=name,
        native_enum=False,
        create_constraint=True,
        length=20,
        values_callable=lambda words: [word.value for word in words],
    )


def begin_write() -> None:
    """Begins the transaction of this request or job as a writing one, before its first read.

    SQLite then takes its write lock at once (BEGIN IMMEDIATE) and waits its turn; a transaction that
    reads first and writes later would fail with "database is locked" instead. PostgreSQL needs nothing.
    """
    if db.session().in_transaction():
        raise RuntimeError("begin_write() must come before the first read of its transaction.")
    db.session.connection(execution_options={WRITES: True})


def read_once(statement: Executable, **values: Any) -> Sequence[Row[Any]]:
    """The rows of one statement with no transaction around it: one statement sees one moment anyway."""
    options = {"isolation_level": "AUTOCOMMIT"} if db.engine.dialect.name == "postgresql" else {}
    with db.engine.connect().execution_options(**options) as connection:
        return connection.execute(statement, values).all()


@contextmanager
def snapshot() -> Iterator[Connection]:
    """A connection of its own whose statements all see the same moment."""
    options = {"isolation_level": "REPEATABLE READ"} if db.engine.dialect.name == "postgresql" else {}
    with db.engine.connect().execution_options(**options) as connection:
        yield connection


def insert_unless_there(table: type[Base], rows: Sequence[Mapping[str, Any]], change: str | None = None) -> int:
    """Inserts the rows in their order; one whose key is there already gets its column `change`, or stays as it is.

    Returns how many were inserted or changed.
    """
    dialect = db.session.connection().dialect.name
    statement: Any = (sqlite_insert if dialect == "sqlite" else postgresql_insert)(table).values(list(rows))
    if change is None:
        statement = statement.on_conflict_do_nothing()
    else:
        keys = [column.name for column in inspect(table).primary_key]
        statement = statement.on_conflict_do_update(index_elements=keys, set_={change: statement.excluded[change]})
    return int(db.session.execute(statement).rowcount)  # type: ignore[attr-defined]


def configure_engine(engine: Engine) -> None:
    """Sets up the connections of one engine: SQLite in WAL with foreign keys and our own BEGIN."""
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # The driver's deferred BEGIN gave lock errors and overbooking.
        for pragma in ("journal_mode=WAL", "foreign_keys=ON", "busy_timeout=15000", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        writes = connection.get_execution_options().get(WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
