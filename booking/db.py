"""The database door: the base of all tables, the one column type for moments, and how connections begin."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any, TypeVar

from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as PlainSession
from psycopg.pq import TransactionStatus
from sqlalchemy import (
    JSON,
    BigInteger,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Enum,
    Executable,
    Index,
    Integer,
    MetaData,
    Row,
    Select,
    Table,
    event,
    insert,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, make_transient_to_detached, mapped_column
from sqlalchemy.orm.attributes import instance_dict, manager_of_class, set_committed_value
from sqlalchemy.orm.util import identity_key
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

from booking import direct
from booking.silence import by_beginning, first_word, listen

WRITES = "balie_writes"
CONNECTION = "balie_connection"  # of a session
# We ask by keys. A plan is kept for as long as a connection, and with the usual price of a page one that was made while
# a table was small, as holds are in the morning, would read the whole table at each booking until noon.
BY_KEY = "SET random_page_cost = 1.1"
T = TypeVar("T", bound="Base")


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
        list[list[int]]: JSON,
    }


BigKey = BigInteger().with_variant(Integer, "sqlite")


class Session(PlainSession):
    """A session that gives up what it has begun by a plain ROLLBACK.

    At its own rollback the driver forgets all that it has prepared on the connection, and has PostgreSQL forget it too,
    though a rollback undoes none of it. After a page that has only read, a booking would be planned anew.
    """

    def rollback(self) -> None:
        _roll_back(self.info.pop(CONNECTION, None))
        super().rollback()

    def close(self) -> None:
        _roll_back(self.info.pop(CONNECTION, None))
        super().close()


def _roll_back(connection: Connection | None) -> None:
    if connection is None or connection.closed or connection.invalidated or connection.dialect.name != "postgresql":
        return
    driver: Any = connection.connection.driver_connection
    if driver.info.transaction_status == TransactionStatus.INTRANS:
        driver.pgconn.exec_(b"ROLLBACK")


@event.listens_for(Session, "after_begin")
def _note_connection(session: Session, _transaction: object, connection: Connection) -> None:
    session.info[CONNECTION] = connection


db = SQLAlchemy(metadata=Base.metadata, session_options={"class_": Session})


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


def index_of_given(name: str, column: str) -> Index:
    """An index of the rows that have a value in this column: each row in an index costs time when it is written."""
    is_given = text(f"{column} IS NOT NULL")
    return Index(name, column, postgresql_where=is_given, sqlite_where=is_given)


def begin_write() -> None:
    """Begins the transaction of this request or job as a writing one, before its first read.

    SQLite then takes its write lock at once (BEGIN IMMEDIATE) and waits its turn; a transaction that
    reads first and writes later would fail with "database is locked" instead. PostgreSQL needs nothing of the kind.
    """
    if db.session().in_transaction():
        raise RuntimeError("begin_write() must come before the first read of its transaction.")
    if db.engine.dialect.name == "sqlite":
        db.session.connection(execution_options={WRITES: True})
        return
    with by_beginning():
        db.session.connection()


def table(model: type[Base]) -> Table:
    """The table of a model, for statements that go around the ORM."""
    return Base.metadata.tables[model.__tablename__]


def run(statement: Executable, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None) -> Any:
    """Runs a statement over tables in the session's transaction.

    The ORM takes as long again for each: worth it on the paths that thousands take at once, with statements that
    are made once.
    """
    return db.session.connection().execute(statement, values)


def ask(statement: Select[Any], values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a statement that is made once, by their names, at a third of the price of run(); see direct.py."""
    return direct.ask(db.session.connection(), statement, values)


def read_once(statement: Executable, **values: Any) -> Sequence[Row[Any]]:
    """The rows of one short statement: inside the transaction where one has begun, else with none around it.

    Raises Silence where the database hangs.
    """
    if is_in_transaction():
        found: Sequence[Row[Any]] = run(statement, values).all()
        return found
    with reader() as connection:
        return connection.execute(statement, values).all()


def is_in_transaction() -> bool:
    """Whether this request or job has begun one."""
    return bool(db.session.registry.has() and db.session().in_transaction())


_shared: ContextVar[list[Connection] | None] = ContextVar("shared", default=None)


@contextmanager
def reading_together() -> Iterator[None]:
    """What is asked of `reader` inside goes over one connection: to fetch and try one costs as much as a short read."""
    shared: list[Connection] = []
    before = _shared.set(shared)
    try:
        yield
    finally:
        _shared.reset(before)
        for connection in shared:
            connection.close()


@contextmanager
def reader() -> Iterator[Connection]:
    """A connection for a short read with no transaction around it. Raises Silence where the database hangs."""
    shared, engine = _shared.get(), db.engine
    with ExitStack() as ends:
        connection = shared[0] if shared else _fetched(engine)
        if shared is None:
            ends.enter_context(connection)
        elif not shared:
            shared.append(connection)
        if engine.dialect.name == "postgresql":
            ends.enter_context(first_word(connection))
        yield connection


def _fetched(engine: Engine) -> Connection:
    connection = engine.connect()
    if engine.dialect.name == "postgresql":
        connection.execution_options(isolation_level="AUTOCOMMIT")
    return connection


@contextmanager
def snapshot() -> Iterator[Connection]:
    """A connection of its own whose statements all see the same moment."""
    options = {"isolation_level": "REPEATABLE READ"} if db.engine.dialect.name == "postgresql" else {}
    with db.engine.connect().execution_options(**options) as connection:
        yield connection


@contextmanager
def one_moment() -> Iterator[None]:
    """All that the session reads is of one moment of the database, however long that takes; ends the transaction.

    Raises RuntimeError when a transaction has begun already: it would see another moment.
    """
    if db.session().in_transaction():
        raise RuntimeError("What sees one moment must come before the first read of its transaction.")
    if db.engine.dialect.name == "postgresql":
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        db.session.connection(execution_options=options)
    try:
        yield
    finally:
        db.session.rollback()


class next_id(FunctionElement[int]):  # noqa: N801
    """The id of a new row of this model, to be selected before the row is inserted by a transaction that writes."""

    inherit_cache = True

    def __init__(self, model: type[Base]) -> None:
        super().__init__(literal_column(table(model).name))


@compiles(next_id)
def _next_id(element: next_id, compiler: SQLCompiler, **words: Any) -> str:
    return f"(SELECT coalesce(max(id), 0) + 1 FROM {compiler.process(element.clauses, **words)})"  # noqa: S608


@compiles(next_id, "postgresql")
def _next_of_sequence(element: next_id, compiler: SQLCompiler, **words: Any) -> str:
    return f"nextval('{compiler.process(element.clauses, **words)}_id_seq')"


def insert_row(row: Base) -> None:
    """Inserts a new object by the values it has, and gives it its id; the ORM's unit of work takes four times as long.

    The session does not know it before know() has told it.
    """
    found = run(_inserting(type(row)), values_of(row)).one()
    for column, value in found._mapping.items():
        setattr(row, column, value)


def values_of(row: Base) -> dict[str, Any]:
    """The columns of a new object that it has a value for."""
    names = _names(type(row))
    return {name: value for name, value in row.__dict__.items() if name in names}


@cache
def _names(model: type[Base]) -> frozenset[str]:
    return frozenset(table(model).columns.keys())


@lru_cache(maxsize=64)
def _inserting(model: type[Base]) -> Executable:
    into = table(model)
    return insert(into).returning(*into.primary_key)


def fresh(model: type[T], columns: Mapping[str, Any]) -> T:
    """A new object with these values: as its constructor makes it, but that nobody hears of each value."""
    made: T = manager_of_class(model).new_instance()
    instance_dict(made).update(columns)
    return made


def know(*rows: Base) -> None:
    """Makes objects that were inserted the session's own, as if it had loaded them."""
    for row in rows:
        make_transient_to_detached(row)
    db.session.add_all(rows)


def loaded(model: type[T], columns: Mapping[str, Any]) -> T:
    """The object of a row that was read around the ORM, as if the session had loaded it; the one it has already, with
    these values."""
    found: T | None = db.session.identity_map.get(identity_key(model, columns["id"]))
    if found is not None:
        for name, value in columns.items():
            set_committed_value(found, name, value)
        return found
    made = fresh(model, columns)
    know(made)
    return made


def insert_unless_there(model: type[Base], rows: Sequence[Mapping[str, Any]], change: str | None = None) -> int:
    """Inserts the rows in their order; one whose key is there already gets its column `change`, or stays as it is.

    Returns how many were inserted or changed.
    """
    count: int = run(_insert_unless_there(table(model), change, db.engine.dialect.name), rows).rowcount
    return count


@lru_cache(maxsize=32)
def _insert_unless_there(into: Table, change: str | None, dialect: str) -> Executable:
    statement: Any = (sqlite_insert if dialect == "sqlite" else postgresql_insert)(into)
    statement = statement.execution_options(preserve_rowcount=True)  # psycopg forgets it with the cursor
    if change is None:
        return statement.on_conflict_do_nothing()  # type: ignore[no-any-return]
    keys = [column.name for column in into.primary_key]
    changed = {change: statement.excluded[change]}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)  # type: ignore[no-any-return]


def configure_engine(engine: Engine) -> None:
    """Sets up the connections of one engine: SQLite in WAL with foreign keys and our own BEGIN; else see silence.py."""
    if engine.dialect.name != "sqlite":
        listen(engine, BY_KEY)
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
