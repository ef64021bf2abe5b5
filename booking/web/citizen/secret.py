"""The secret parts of addresses: they lead to a hold, and to the own page of a booking."""

from __future__ import annotations

from collections.abc import Sequence

from flask import abort, current_app, request

from booking import links
from booking.appointments.holds import Outdated, hold_of, hold_to_book
from booking.appointments.limits import Contact
from booking.appointments.models import Hold
from booking.web.language import language
from booking.web.towns import here, load_town


def hold_token(held: Hold) -> str:
    return links.token(_keys(), "hold", held.id, 0)


def held_by(token: str) -> Hold:
    """The hold behind a token; 404 for tokens we never gave, and for holds swept away long after their end."""
    return found_by(token) or abort(404)


def found_by(token: str) -> Hold | None:
    """The same where a token may be missing or old."""
    id = _hold_id(token)
    return hold_of(id, here()) if id else None


def held_to_book(token: str, contacts: Sequence[Contact]) -> Hold:
    """The hold behind a token, or 404, for somebody with these contacts who is about to book; looks itself whether the
    town has changed."""
    id = _hold_id(token) or abort(404)
    try:
        held = hold_to_book(id, here(), contacts)
    except Outdated:
        load_town()
        held = hold_to_book(id, here(), contacts)
    return held or abort(404)


def own_address(booking_id: int, generation: int, has_booked: bool = False) -> str:
    """The address of the booking's own page, for this browser; with ?booked=1 it greets whoever has just booked."""
    token = links.token(_keys(), "booking", booking_id, generation)
    path = request.script_root + links.own_path(language(), token)
    return f"{path}?booked=1" if has_booked else path


def _hold_id(token: str) -> int | None:
    claim = links.claim(_keys(), "hold", token)
    return claim.id if claim else None


def _keys() -> links.Keys:
    found: links.Keys = current_app.extensions["balie"]["settings"].keys
    return found
