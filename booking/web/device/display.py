"""The screen of a waiting room: the number that is called and its counter, and the last ones before."""

from __future__ import annotations

from hashlib import sha256

from flask import make_response, render_template, request
from flask.typing import ResponseReturnValue

from booking.appointments.calls import last_calls
from booking.staff.models import DeviceKind
from booking.web.device import device
from booking.web.guards import current_device
from booking.web.language import language
from booking.web.pages import now, today
from booking.web.towns import here, seen_activity

SHOWN = 4


@device.get("/display")
def display() -> ResponseReturnValue:
    """Asked again every few seconds with its ETag; the page itself says when it lost the network."""
    office = here().offices[current_device(DeviceKind.DISPLAY).office_id]
    key = (seen_activity(office.id), here().revision, today(), language(), office.id)
    etag = sha256(repr(key).encode()).hexdigest()[:24]
    if request.if_none_match.contains(etag):
        return "", 304
    calls = last_calls(office.id, today(), SHOWN)
    answer = make_response(render_template("device/display.html", office=office, calls=calls, etag=etag, at=now()))
    answer.set_etag(etag)
    return answer
