"""How Alembic runs: on the application's own engine, in one transaction, with SQLite in batch mode."""

from alembic import context
from flask import current_app
from sqlalchemy import Connection

from booking.db import WRITES, Base, UtcDateTime


def render_item(kind: str, item: object, _autogen_context: object) -> str | bool:
    """Migrations stand on their own: a moment is written as what the database sees of it."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        render_item=render_item,
        render_as_batch=connection.dialect.name == "sqlite",
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


engine = current_app.extensions["migrate"].db.engine
with engine.connect().execution_options(**{WRITES: True}) as connection:
    migrate(connection)
