"""The catalogue as one of the files; see townhall/catalogue.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from booking.db import db
from booking.exchange.files import Difference, Part, Run
from booking.exchange.places import Places
from booking.townhall.catalogue import Row, carry_in, header, read_catalogue, written
from booking.townhall.models import Service


def _read(content: bytes, places: Places) -> list[Row]:
    rows = read_catalogue(content, places.municipality.languages, places.desk_keys)
    for row in rows:
        places.services.setdefault(row.values["key"], None)
    return rows


def _carry(run: Run, rows: Sequence[Row]) -> Iterator[Difference | None]:
    for key, changes in carry_in(run.municipality, rows):
        yield None if changes is None else Difference(key, changes)
    db.session.flush()
    found = db.session.execute(select(Service.key, Service.id).where(Service.municipality_id == run.municipality.id))
    run.places.services.update(dict(found.all()))


PART = Part("services", _l("Services"), ("key",), header, _read, _carry, written)
