"""A time that we propose because we close at the one that the citizen had: accepting it."""

from __future__ import annotations

from flask import abort, redirect, url_for
from flask.typing import ResponseReturnValue

from booking.db import db
from booking.planning.impact import accept_proposal
from booking.staff.audit import citizen_of
from booking.web.citizen import citizen
from booking.web.citizen.own import booking_of
from booking.web.pages import now
from booking.web.towns import town


@citizen.post("/b/<token>/<int:id>/accept")
def accept(token: str, id: int) -> ResponseReturnValue:
    """The time suits the citizen; another one is chosen like any other move."""
    found = next((one for one in booking_of(token).appointments if one.id == id), None) or abort(404)
    accept_proposal(found, citizen_of(town().id), now())
    db.session.commit()
    return redirect(url_for("citizen.own", token=token, did="accepted"), 303)
