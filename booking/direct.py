"""Statements that thousands ask at the same moment: worked out once, then handed to the driver as they are.

SQLAlchemy finds each statement again by all its parts, and makes a result that can do anything; for one with thirty
parameters that takes longer than the database takes for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from psycopg import Error, RawCursor
from sqlalchemy import Connection, Dialect, Select
from sqlalchemy.exc import DBAPIError

Process = Callable[[Any], Any] | None


@dataclass(frozen=True)
class _WorkedOut:
    """The text of a statement with $1 and so on, how each of these is made of a value, the values that the statement
    brings itself, and how a row comes out."""

    text: str
    given: tuple[tuple[str, Process], ...]
    own: Mapping[str, Any]
    columns: tuple[tuple[str, Process], ...]


def ask(connection: Connection, statement: Select[Any], values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a statement that is made once, each by its names: every column has one, and none is a NUMERIC.

    Parameters take any values but lists. What is raised is what SQLAlchemy would raise, without the values. Nobody who
    listens to the engine hears of it.
    """
    if connection.dialect.name != "postgresql":
        return [dict(row) for row in connection.execute(statement, values).mappings()]
    done = _worked_out(statement, connection.dialect)
    known = {**done.own, **values}
    given = [known[name] if process is None else process(known[name]) for name, process in done.given]
    driver: Any = connection.connection.driver_connection
    try:
        rows = RawCursor(driver).execute(done.text, given).fetchall()
    except Error as error:
        raise _as_ours(error, connection, done.text) from error
    return [
        {name: one if process is None else process(one) for (name, process), one in zip(done.columns, row, strict=True)}
        for row in rows
    ]


def _as_ours(error: Exception, connection: Connection, text: str) -> BaseException:
    dialect = connection.dialect
    is_lost = dialect.is_disconnect(error, connection.connection, None)  # type: ignore[arg-type]
    if is_lost:
        connection.invalidate(error)
    return DBAPIError.instance(text, None, error, Error, connection_invalidated=is_lost, dialect=dialect)


@lru_cache(maxsize=256)
def _worked_out(statement: Select[Any], dialect: Dialect) -> _WorkedOut:
    numbered: Dialect = type(dialect)(paramstyle="numeric_dollar")  # type: ignore[call-arg]
    compiled: Any = statement.compile(dialect=numbered)
    binds = {name: one for one, name in compiled.bind_names.items()}
    goes_in = {name: one.type.dialect_impl(dialect).bind_processor(dialect) for name, one in binds.items()}
    comes_out = ((one.name, one.type.dialect_impl(dialect)) for one in statement.selected_columns)
    return _WorkedOut(
        compiled.string,
        tuple((name, goes_in[name]) for name in compiled.positiontup),
        {name: compiled.params[name] for name, one in binds.items() if not one.required},
        tuple((name, its.result_processor(dialect, None)) for name, its in comes_out),
    )
