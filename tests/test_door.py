"""The database door: what goes straight to the driver, plans, and connections that died."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from psycopg.pq import TransactionStatus
from sqlalchemy import Integer, bindparam, create_engine, literal, select, text, update
from sqlalchemy.exc import DataError, OperationalError, StatementError

from booking.appointments.limits import Holder
from booking.appointments.models import Appointment, AppointmentState, Hold
from booking.db import ask, begin_write, db, run, table
from booking.townhall.models import Municipality
from tests.conftest import MONDAY, Clock
from tests.factories import Town
from tests.test_limits import TEN, hold_as
from tests.test_messages import ALICE, booked

pytestmark = pytest.mark.house

only_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)
HOLDS, APPOINTMENTS = table(Hold), table(Appointment)


def test_rows_are_those_of_sqlalchemy(context: Flask, town: Town, clock: Clock) -> None:
    booked(town, clock, ALICE)
    held = hold_as(Holder("browser"), town, TEN, clock)
    db.session.commit()
    a_hold = select(*HOLDS.c, literal("one").label("word")).where(HOLDS.c.id == bindparam("id"))
    some = select(*APPOINTMENTS.c).where(APPOINTMENTS.c.state == bindparam("state"), APPOINTMENTS.c.starts_at > MONDAY)
    asked: list[tuple[Any, dict[str, Any]]] = [
        (a_hold, {"id": held.id}),
        (a_hold, {"id": 0}),
        (some, {"state": AppointmentState.BOOKED}),
        (some, {"state": AppointmentState.CANCELLED}),
    ]

    for statement, values in asked * 2:  # the second time it is worked out already
        rows = [dict(row) for row in run(statement, values).mappings()]
        assert repr(ask(statement, values)) == repr(rows)  # types, too


def test_a_value_that_is_missing_is_an_error(context: Flask) -> None:
    with pytest.raises((KeyError, StatementError), match="id"):
        ask(select(HOLDS.c.id).where(HOLDS.c.id == bindparam("id")), {})


@only_postgresql
def test_a_refusal_is_that_of_sqlalchemy_and_tells_no_values(context: Flask) -> None:
    with pytest.raises(DataError) as refusal:
        ask(select((bindparam("number", type_=Integer) // 0).label("share")), {"number": 4711})

    assert "division by zero" in str(refusal.value)
    assert "4711" not in str(refusal.value)


@only_postgresql
def test_a_connection_that_is_lost_under_a_statement_is_not_used_again(context: Flask) -> None:
    begin_write()
    end(present(), context)

    with pytest.raises(OperationalError) as lost:
        ask(select(literal(1).label("one")), {})
    db.session.rollback()

    assert lost.value.connection_invalidated
    assert ask(select(literal(1).label("one")), {}) == [{"one": 1}]


@only_postgresql
def test_a_writing_transaction_begins_where_its_connection_is_tried(context: Flask) -> None:
    first = present()
    db.session.rollback()

    begin_write()

    driver: Any = db.session.connection().connection.driver_connection
    assert driver.info.transaction_status == TransactionStatus.INTRANS
    assert present() == first
    db.session.rollback()
    end(first, context)
    begin_write()
    assert present() != first


@only_postgresql
def test_plans_go_by_keys(context: Flask) -> None:
    """A table that is small when a plan is made is large when it is used."""
    assert db.session.scalar(text("SHOW random_page_cost")) == "1.1"
    plan = "\n".join(db.session.scalars(text("EXPLAIN SELECT * FROM hold WHERE id = 1")))
    assert "pk_hold" in plan


@only_postgresql
def test_what_is_prepared_outlives_a_page_that_only_read(app: Flask, town: Town) -> None:
    prepared = text("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%AS the_answer'")
    answer = select(literal("yes").label("the_answer"))
    with app.app_context():
        for _ in range(6):  # the driver prepares what it is asked more often than five times
            ask(answer, {})
            db.session.commit()
        first = present()
    for _ in range(2):
        with app.app_context():
            assert (present(), db.session.scalar(prepared)) == (first, 1)
            db.session.rollback()
            assert (present(), db.session.scalar(prepared)) == (first, 1)


@only_postgresql
def test_what_is_not_committed_is_gone_at_the_end(app: Flask, town: Town, clock: Clock) -> None:
    for is_broken in (False, True):
        with app.app_context():
            run(update(Municipality).values(revision=99))
            if is_broken:
                with pytest.raises(DataError):
                    run(text("SELECT 1 / 0"))
        with app.app_context():
            assert db.session.scalars(select(Municipality.revision)).one() != 99


def present() -> int:
    """The server process behind the session's connection."""
    found: int = db.session.scalar(text("SELECT pg_backend_pid()"))
    return found


def end(process: int, app: Flask) -> None:
    """Ends a server process as an administrator does, and waits until it has gone."""
    other = create_engine(app.config["SQLALCHEMY_DATABASE_URI"])
    with other.begin() as connection:
        assert connection.scalar(text("SELECT pg_terminate_backend(:process, 5000)"), {"process": process})
    other.dispose()
