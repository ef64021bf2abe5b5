"""The bare handlers: a small Flask application without hooks, to compare with on the same server and database."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from flask import Flask, Response, jsonify
from icalendar import Calendar, Event
from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, String, Table, bindparam, create_engine, insert
from sqlalchemy import select as select_from

from booking import _engine_options
from booking.db import WRITES, configure_engine

NAME = "bare"  # of its database
ROWS = 1000

metadata = MetaData()
key = BigInteger().with_variant(Integer, "sqlite")
thing = Table(
    "thing",
    metadata,
    Column("id", key, primary_key=True),
    Column("name", String(120), nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
)
MANY = select_from(thing.c.id, thing.c.name, thing.c.made_at).order_by(thing.c.id)
ONE = select_from(thing.c.id, thing.c.name).where(thing.c.id == bindparam("id"))


def calendar(rows: Sequence[tuple[int, str, datetime]]) -> bytes:
    """A calendar with an event for each row, of the properties that a feed has, as icalendar makes it."""
    made = Calendar()
    made.add("version", "2.0")
    made.add("prodid", "-//Balie//Bench//EN")
    zone = ZoneInfo("Europe/Brussels")
    for id, name, made_at in rows:
        event = Event()
        starts_at = made_at.replace(tzinfo=made_at.tzinfo or UTC).astimezone(zone) + timedelta(hours=id)
        event.add("uid", f"8b0d1c1e-6d0f-4d55-8d5c-{id:012d}@balie")
        event.add("sequence", 0)
        for moment in ("dtstamp", "last-modified", "created"):
            event.add(moment, starts_at.astimezone(UTC))
        event.add("dtstart", starts_at)
        event.add("dtend", starts_at + timedelta(minutes=15))
        event.add("summary", f"{name} · K7 4P 9XA")
        event.add("location", "Kantoor 1, Marktplein 1, 1000 Meetstad, Loket 1")
        for word, value in (("status", "CONFIRMED"), ("transp", "OPAQUE"), ("class", "PRIVATE")):
            event.add(word, value)
        made.add_component(event)
    content: bytes = made.to_ical()
    return content


def prepare(database: str) -> None:
    """Makes the table and its thousand rows."""
    engine = create_engine(database)
    with engine.begin() as connection:
        metadata.create_all(connection)
        now = datetime.now(UTC)
        connection.execute(insert(thing), [{"name": f"Thing {n}", "made_at": now} for n in range(1, ROWS + 1)])
    engine.dispose()


def create_bare() -> Flask:
    """The application, on the database of BALIE_DATABASE with the engine settings of Balie."""
    app = Flask(__name__, static_folder=None)
    database = os.environ["BALIE_DATABASE"]
    engine = create_engine(database, **_engine_options(database))
    configure_engine(engine)

    @app.get("/trivial")
    def trivial() -> Response:
        return jsonify(id=1, name="Thing 1")

    @app.get("/select/<int:id>")
    def select(id: int) -> Response:
        with engine.connect() as connection:
            row = connection.execute(ONE, {"id": id}).one()
        return jsonify(id=row.id, name=row.name)

    @app.get("/icalendar/<int:count>")
    def icalendar(count: int) -> Response:
        with engine.connect() as connection:
            rows = connection.execute(MANY.limit(count)).all()
        return Response(calendar([(row.id, row.name, row.made_at) for row in rows]), mimetype="text/calendar")

    @app.post("/insert")
    def insert_one() -> tuple[Response, int]:
        with engine.connect().execution_options(**{WRITES: True}) as connection:
            made = connection.execute(insert(thing), {"name": "A new thing", "made_at": datetime.now(UTC)})
            id = made.inserted_primary_key[0]  # type: ignore[index]
            connection.commit()
        return jsonify(id=id), 201

    return app


app = create_bare() if "BALIE_DATABASE" in os.environ else None
