"""A device is signed in once, by a secret link that a lead opens on it and that works once, until staff sign it out."""

from __future__ import annotations

from flask import abort, current_app, make_response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import update

from booking import links
from booking.db import db
from booking.staff.models import Device, DeviceKind
from booking.web.device import entry
from booking.web.guards import DEVICE_COOKIE
from booking.web.towns import here, town

LASTS = 400 * 24 * 3600  # seconds; browsers keep no cookie for longer


@entry.get("/<token>")
def ask(token: str) -> ResponseReturnValue:
    """One button: a link that is only looked at signs nothing in."""
    device = _device_of(token)
    return render_template("device/sign_in.html", device=device, office=here().offices[device.office_id])


@entry.post("/<token>")
def do_sign_in(token: str) -> ResponseReturnValue:
    device = _device_of(token)
    generation = _use_up(device)
    session.clear()
    endpoint = "device.kiosk" if device.kind == DeviceKind.KIOSK else "device.display"
    answer = make_response(redirect(url_for(endpoint, lang=town().language), 303))
    settings = current_app.extensions["balie"]["settings"]
    answer.set_cookie(
        DEVICE_COOKIE,
        links.token(settings.keys, DEVICE_COOKIE, device.id, generation),
        max_age=LASTS,
        path=request.script_root or "/",
        secure=settings.is_https,
        httponly=True,
        samesite="Lax",
    )
    db.session.commit()
    return answer


def _use_up(device: Device) -> int:
    """Ends the link: of two browsers that open it at once one is let in. The generation that counts from now on."""
    unused = (Device.id == device.id, Device.generation == device.generation)
    raised = update(Device).where(*unused).values(generation=Device.generation + 1).returning(Device.generation)
    generation = db.session.scalar(raised, execution_options={"synchronize_session": False})
    return generation or abort(410)


def _device_of(token: str) -> Device:
    """The device behind the link; 404 for a link that we never gave, 410 for one that was ended or used."""
    claim = links.claim(current_app.extensions["balie"]["settings"].keys, "device", token)
    device = db.session.get(Device, claim.id) if claim else None
    if claim is None or device is None or device.office_id not in here().offices:
        abort(404)
    if device.ended_at or device.generation != claim.generation:
        abort(410)
    return device
