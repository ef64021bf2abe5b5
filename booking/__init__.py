"""Balie: appointments at the counters of a town hall. `create_app` puts the rooms together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from flask_migrate import Migrate

from booking import tables
from booking.config import ROOT, Settings, settings_from_environment
from booking.db import configure_engine, db
from booking.links import derived_key

__all__ = ["create_app", "tables"]

Clock = Callable[[], datetime]


class Application(Flask):
    """Flask for functions that are not coroutines: none here is, and to ask it of each hook costs every answer."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


def utc_now() -> datetime:
    return datetime.now(UTC)


def create_app(settings: Settings | None = None, *, clock: Clock = utc_now) -> Flask:
    """The whole application; `clock` gives the time to everything. Raises SettingError for unworkable ones."""
    settings = settings or settings_from_environment()
    app = Application(__name__, template_folder=str(ROOT / "templates"), static_folder=None)
    app.config.update(
        SECRET_KEY=derived_key(settings.keys[0], "session"),
        SECRET_KEY_FALLBACKS=[derived_key(key, "session") for key in settings.keys[1:]],
        SQLALCHEMY_DATABASE_URI=settings.database,
        SQLALCHEMY_ENGINE_OPTIONS=_engine_options(settings.database),
        MAX_CONTENT_LENGTH=1_000_000,
    )
    app.extensions["balie"] = {"settings": settings, "clock": clock}
    db.init_app(app)
    Migrate(app, db, directory=str(ROOT / "migrations"), compare_type=True)
    with app.app_context():
        configure_engine(db.engine)
    from booking import cli, web

    web.install(app, settings)
    cli.install(app)
    return app


def _engine_options(database: str) -> dict[str, object]:
    """Parameters hold names and contacts, so that no error may show them in a log."""
    if database.startswith("sqlite"):
        return {"hide_parameters": True}
    return {"hide_parameters": True, "pool_pre_ping": True, "pool_use_lifo": True, "pool_size": 10, "max_overflow": 20}
