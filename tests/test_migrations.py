"""Migrations: up they make exactly the tables of the models, down they leave nothing, on both databases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import CheckConstraint, Constraint, ForeignKeyConstraint, Inspector, UniqueConstraint, inspect
from sqlalchemy.exc import IntegrityError

from booking import create_app
from booking.appointments.models import Occupancy
from booking.config import Settings
from booking.db import Base, db
from tests.conftest import KEYS
from tests.factories import Town

pytestmark = pytest.mark.house

TABLES = set(Base.metadata.tables)
LATER = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def empty(database: str, tmp_path: Path) -> Iterator[Flask]:
    """The application on a database that was brought down to nothing."""
    app = create_app(Settings(database=database, keys=KEYS, instance=tmp_path))
    with app.app_context():
        downgrade(revision="base")
        yield app
        db.session.remove()
        db.engine.dispose()


def differences() -> list[object]:
    """What Alembic would change to bring the database to the models."""
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "target_metadata": Base.metadata})
        return list(compare_metadata(context, Base.metadata))


def look() -> Inspector:
    return inspect(db.engine)


def test_down_to_the_beginning_leaves_nothing(empty: Flask) -> None:
    assert set(look().get_table_names()) <= {"alembic_version"}
    if db.engine.dialect.name == "postgresql":
        assert look().get_enums() == []
        assert look().get_sequence_names() == []


def test_up_again_makes_every_table(empty: Flask) -> None:
    upgrade()

    assert set(look().get_table_names()) == TABLES | {"alembic_version"}
    assert differences() == []


def test_down_and_up_and_down_again_leaves_nothing(empty: Flask) -> None:
    upgrade()
    downgrade(revision="base")

    assert set(look().get_table_names()) <= {"alembic_version"}


def test_the_database_is_what_the_models_say(context: Flask) -> None:
    assert differences() == []


def test_every_constraint_has_the_name_that_the_models_give_it(context: Flask) -> None:
    found, wanted = look(), Base.metadata.tables.items()

    checks = {name: names(table.constraints, CheckConstraint) for name, table in wanted}
    assert {table: {one["name"] for one in found.get_check_constraints(table)} for table in TABLES} == checks
    uniques = {name: names(table.constraints, UniqueConstraint) for name, table in wanted}
    assert {table: {one["name"] for one in found.get_unique_constraints(table)} for table in TABLES} == uniques
    keys = {name: names(table.constraints, ForeignKeyConstraint) for name, table in wanted}
    assert {table: {one["name"] for one in found.get_foreign_keys(table)} for table in TABLES} == keys
    assert {found.get_pk_constraint(table)["name"] for table in TABLES} == {f"pk_{table}" for table in TABLES}


def names(constraints: Iterable[Constraint], kind: type[Constraint]) -> set[str]:
    return {str(one.name) for one in constraints if isinstance(one, kind)}


def test_columns_are_as_wide_and_as_empty_as_the_models_say(context: Flask) -> None:
    dialect = db.engine.dialect

    found = {
        f"{table}.{column['name']}": (column["type"].compile(dialect), column["nullable"])
        for table in TABLES
        for column in look().get_columns(table)
    }

    assert found == {
        f"{name}.{column.name}": (column.type.compile(dialect), column.nullable)
        for name, table in Base.metadata.tables.items()
        for column in table.columns
    }


def test_foreign_keys_delete_what_hangs_on_them_where_the_models_say(context: Flask) -> None:
    wanted = {
        str(key.name): key.ondelete for table in Base.metadata.tables.values() for key in table.foreign_key_constraints
    }

    found = {key["name"]: key["options"].get("ondelete") for table in TABLES for key in look().get_foreign_keys(table)}

    assert found == wanted


def test_a_counter_has_each_tick_once(context: Flask, town: Town) -> None:
    assert look().get_pk_constraint("occupancy")["constrained_columns"] == ["counter_id", "tick"]

    for _ in range(2):
        db.session.add(Occupancy(counter_id=town.counter_ids[0], tick=5_900_000, expires_at=LATER))
    with pytest.raises(IntegrityError, match=r"(?i)occupancy"):
        db.session.flush()
