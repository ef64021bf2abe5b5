"""The outbox in the browser: what was written to files because no mail server or text service is set."""

from __future__ import annotations

from flask import abort, current_app, render_template
from flask.typing import ResponseReturnValue

from booking.delivery.files import letter, letters
from booking.outbox.queue import depth
from booking.staff.models import Role
from booking.web.guards import require
from booking.web.pages import now
from booking.web.staff import staff
from booking.web.towns import town


@staff.get("/outbox")
def outbox() -> ResponseReturnValue:
    """The written messages, newest first, and whether the worker lives."""
    require(Role.LEAD, None)
    settings = current_app.extensions["balie"]["settings"]
    return render_template(
        "staff/outbox.html", letters=letters(settings.instance, town().slug), queue=depth(now()), settings=settings
    )


@staff.get("/outbox/<name>")
def outbox_letter(name: str) -> ResponseReturnValue:
    """One written message."""
    require(Role.LEAD, None)
    settings = current_app.extensions["balie"]["settings"]
    found = letter(settings.instance, town().slug, name) or abort(404)
    return render_template("staff/letter.html", letter=found)
