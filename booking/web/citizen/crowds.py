"""The line before a desk's times: whom it lets in, and how this browser stands in it.

A desk that has none costs nothing. Else one read a second and process tells; a POST that takes a time or a place locks
the desk's crowd first, so that no two are let in where there is room for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from flask import Flask, Response, after_this_request, current_app, g, session
from sqlalchemy.exc import OperationalError

from booking import links
from booking.appointments import crowd
from booking.appointments.crowd import Crowd, Turn, crowd_of, locked_crowd
from booking.appointments.offers import Item
from booking.db import begin_write, db
from booking.townhall.models import Desk, Office, Service
from booking.web.citizen.asking import address, browser
from booking.web.pages import now
from booking.web.towns import here, town

SOONEST, LATEST = 10, 30  # seconds until an open page looks again


@dataclass(frozen=True)
class Gate:
    """A desk's crowd as this browser meets it: its turn, or None where it has no place (any more)."""

    desk: Desk
    crowd: Crowd
    turn: Turn | None
    is_open: bool
    was_lost: bool = False  # it had a place, and nobody looked after it

    @property
    def seconds(self) -> int:
        """When to look again."""
        number = self.turn.number if self.turn else LATEST
        return min(max(number, SOONEST), LATEST)


def closed(services: Iterable[Service]) -> list[Gate]:
    """The desks that do any of these services and do not let this browser in just now."""
    return [gate for desk in _desks(services) if not (gate := _gate(desk)).is_open]


def open_offices(service: Service) -> list[Office]:
    """The offices whose times for the service this browser may see."""
    waiting = {gate.desk.office_id for gate in closed([service])}
    return [office for office in here().offices_for(service) if office.id not in waiting]


def closed_at(items: Sequence[Item], office: Office) -> bool:
    """Whether this office does not let this browser choose a time for the services."""
    return any(gate.desk.office_id == office.id for gate in closed(service for service, _people in items))


def lock(services: Iterable[Service]) -> None:
    """Before this request takes a time or a place: nobody else does so at these desks until it ends."""
    for desk in sorted(_desks(services), key=lambda desk: desk.id):
        _gates()[desk.id] = _met(desk, locked_crowd(desk, _place_id(desk), address(), now()), browser())


def stand(items: Sequence[Item]) -> None:
    """Takes a place in each line that these services have and the browser stands not in yet. Raises TooManyPlaces."""
    places = dict(session.get("line", {}))
    for gate in closed(service for service, _people in items):
        if gate.turn is None:
            most = town().holds_per_address
            id = crowd.take_place(gate.desk, gate.crowd, address(), most, now())
            places[str(gate.desk.id)] = links.token(_keys(), "line", id, 0)
    session["line"] = places


def leave(items: Sequence[Item], office: Office) -> None:
    """Gives up the places that have led to a time here: of one service at this office, else of all that were let in."""
    used = [_gates()[desk.id] for desk in _desks(service for service, _people in items)]
    used = [gate for gate in used if len(items) > 1 or gate.desk.office_id == office.id]
    crowd.leave([gate.turn.place_id for gate in used if gate.turn and gate.is_open], now())


def look_again() -> None:
    """After the commit of a request that has locked crowds: what memory knows of them is old."""
    crowd.look_again_at(_gates())


def _desks(services: Iterable[Service]) -> list[Desk]:
    return list({desk.id: desk for one in services for desk in here().crowded.get(one.id, ())}.values())


def _gates() -> dict[int, Gate]:
    """What this request knows of crowds, by desk."""
    found: dict[int, Gate] = g.setdefault("crowds", {})
    return found


def _gate(desk: Desk) -> Gate:
    gates = _gates()
    if desk.id not in gates:
        known = browser() if "hold" in session else None  # who has never kept a time is not looked up
        gates[desk.id] = gate = _met(desk, crowd_of(desk, now(), _place_id(desk)), known)
        if gate.turn and gate.turn.is_worth_noting:
            _note_after(gate.turn)
    return gates[desk.id]


def _met(desk: Desk, found: Crowd, known: str | None) -> Gate:
    """How this browser, by its pseudonym where it is `known`, meets the crowd."""
    place_id = _place_id(desk)
    turn = found.turn(place_id)
    is_open = turn.number == 0 if turn else found.is_open
    is_open = is_open or (known is not None and crowd.has_chosen(known, now()))
    was_lost = turn is None and place_id in found.places and found.places[place_id].left_at is None
    return Gate(desk, found, turn, is_open, was_lost)


def _place_id(desk: Desk) -> int:
    """The browser's place at the desk; 0 where it has none that we gave out."""
    claim = links.claim(_keys(), "line", session.get("line", {}).get(str(desk.id), ""))
    return claim.id if claim else 0


def _note_after(turn: Turn) -> None:
    """Keeps the place for longer, once the answer has gone out."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    at = now()

    @after_this_request
    def note(answer: Response) -> Response:
        answer.call_on_close(partial(_note, app, turn, at))
        return answer


def _note(app: Flask, turn: Turn, at: datetime) -> None:
    """Commits. What cannot be written is lost: the next look writes it."""
    with app.app_context():
        try:
            begin_write()
            crowd.note_look(turn, at)
            db.session.commit()
        except OperationalError:
            db.session.rollback()


def _keys() -> links.Keys:
    keys: links.Keys = current_app.extensions["balie"]["settings"].keys
    return keys
