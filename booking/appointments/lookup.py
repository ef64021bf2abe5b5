"""Finding an appointment by what people say on the phone: a name with slips, a reference, or a phone number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import contains_eager, joinedload, selectinload

from booking.appointments.models import Appointment, AppointmentService, Booking
from booking.appointments.references import plain
from booking.db import db
from booking.townhall.models import Counter, Service
from booking.townhall.spelling import words_in

MOST = 20
ALIKE = 0.5  # of the pieces of a word
SOUNDS = (  # written in different ways, heard as one
    ("ij", "y"), ("ei", "y"), ("ae", "a"), ("oe", "u"), ("ou", "u"), ("ph", "f"), ("th", "t"), ("ck", "k"),
    ("sch", "s"), ("sz", "s"), ("ss", "s"), ("cz", "s"), ("ks", "x"), ("dt", "t"), ("qu", "k"), ("c", "k"), ("z", "s"),
)  # fmt: skip


def appointments_like(desk_ids: Iterable[int], said: str, now: datetime) -> Sequence[Appointment]:
    """The appointments at these desks from yesterday on that fit what was said, best first, at most MOST."""
    reference, digits = plain(said), re.sub(r"\D", "", said)
    query = (
        select(Appointment.id, Booking.name, Booking.reference, Booking.phone)
        .join(Appointment.booking)
        .join(Appointment.counter)
        .where(Counter.desk_id.in_(list(desk_ids)), Booking.name.is_not(None))
        .where(Appointment.starts_at > now - timedelta(days=1))
        .order_by(Appointment.starts_at)
    )
    wanted = [sound(word) for word in words_in(said)]
    scores: list[tuple[float, int]] = []
    for id, name, own, phone in db.session.execute(query):
        score = max(
            2.0 if len(reference) >= 4 and (own or "").startswith(reference) else 0.0,
            2.0 if len(digits) >= 6 and phone and phone.endswith(digits.lstrip("0")) else 0.0,
            likeness(wanted, [sound(word) for word in words_in(name or "")]),
        )
        if score >= ALIKE:
            scores.append((score, id))
    best = [id for _score, id in sorted(scores, key=lambda one: -one[0])[:MOST]]
    return _loaded(best)


def likeness(wanted: Sequence[str], words: Sequence[str]) -> float:
    """How much a name is like what was said, 0 to 1: each word that was said by the word that is most like it."""
    if not wanted or not words:
        return 0.0
    return sum(max(_alike(one, word) for word in words) for one in wanted) / len(wanted)


def sound(word: str) -> str:
    """The word as it is heard: "Janssens", "Jansens" and "Jansènz" are one."""
    for written, heard in SOUNDS:
        word = word.replace(written, heard)
    return re.sub(r"(.)\1+", r"\1", word)


def _alike(one: str, other: str) -> float:
    if one == other:
        return 1.0
    if len(one) >= 2 and other.startswith(one):
        return 0.9
    mine, theirs = _pairs(one), _pairs(other)
    return 2 * len(mine & theirs) / (len(mine) + len(theirs))


def _pairs(word: str) -> set[str]:
    padded = f" {word} "
    return {padded[i : i + 2] for i in range(len(padded) - 1)}


def _loaded(ids: Sequence[int]) -> Sequence[Appointment]:
    """The appointments in this order, with all that a list shows of them."""
    query = (
        select(Appointment)
        .join(Appointment.counter)
        .where(Appointment.id.in_(ids))
        .options(
            contains_eager(Appointment.counter).joinedload(Counter.desk),
            joinedload(Appointment.booking),
            joinedload(Appointment.visit),
            selectinload(Appointment.items).joinedload(AppointmentService.service).selectinload(Service.texts),
        )
    )
    found = {one.id: one for one in db.session.scalars(query)}
    return [found[id] for id in ids]
