"""Kiosks and screens: sign one in by its link, give it a new link, or sign it out."""

from __future__ import annotations

from flask import abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from booking import links
from booking.db import db
from booking.staff.audit import member, record
from booking.staff.models import Device, DeviceKind, Role
from booking.townhall.models import Office
from booking.web.guards import current_staff, may
from booking.web.pages import now, outside
from booking.web.staff import staff
from booking.web.towns import here
from booking.web.typed import TypedForm, not_typed, typed_forms


@staff.get("/devices")
def devices() -> ResponseReturnValue:
    """The kiosks and screens of the offices that one leads, each with its link."""
    return _page()


def _page(refused: TypedForm | None = None, id: int = 0) -> str:
    """The page; with what to type for the step that was not taken at the device with this id."""
    offices = led_offices() or abort(404)
    found = db.session.scalars(
        select(Device)
        .where(Device.office_id.in_([office.id for office in offices]), Device.ended_at.is_(None))
        .order_by(Device.office_id, Device.id)
    ).all()
    return render_template(
        "staff/devices.html",
        offices=offices,
        devices=found,
        names={office.id: office for office in offices},
        addresses={one.id: _address(one) for one in found},
        steps={one.id: _steps(one, refused if one.id == id else None) for one in found},
        problems=refused,
    )


@staff.post("/devices")
def add_device() -> ResponseReturnValue:
    office_id, name = request.form.get("office", 0, type=int), " ".join(request.form.get("name", "").split())[:80]
    kind = next((one for one in DeviceKind if one == request.form.get("kind")), None)
    if office_id not in {office.id for office in led_offices()} or kind is None or not name:
        abort(404)
    device = Device(office_id=office_id, kind=kind, name=name, made_at=now())
    db.session.add(device)
    db.session.flush()
    return _done("add_device", device)


@staff.post("/devices/<int:id>/renew")
def renew_device(id: int) -> ResponseReturnValue:
    """Another link; what was signed in by the old one is out at once."""
    device = _device(id)
    if refused := not_typed(device.name, f"renew-{id}"):
        return _page(refused, id), 422
    device.generation += 1
    return _done("renew_device", device)


@staff.post("/devices/<int:id>/end")
def end_device(id: int) -> ResponseReturnValue:
    """Signs it out and takes it off the list."""
    device = _device(id)
    if refused := not_typed(device.name, f"end-{id}"):
        return _page(refused, id), 422
    device.ended_at = now()
    return _done("end_device", device)


@staff.app_template_global()
def leads_office() -> bool:
    account = current_staff()
    return any(may(account, Role.LEAD, desk.id) for desk in here().desks)


def led_offices() -> list[Office]:
    """The offices with a desk that the member of staff leads."""
    account = current_staff()
    return [one for one in here().offices.values() if any(may(account, Role.LEAD, desk.id) for desk in one.desks)]


def _device(id: int) -> Device:
    device = db.session.get(Device, id)
    if device is None or device.ended_at or device.office_id not in {office.id for office in led_offices()}:
        abort(404)
    return device


def _steps(device: Device, refused: TypedForm | None) -> dict[str, TypedForm]:
    return typed_forms(device.name, (f"renew-{device.id}", f"end-{device.id}"), refused)


def _done(action: str, device: Device) -> ResponseReturnValue:
    record(member(current_staff()), action, ("device", device.id), now())
    db.session.commit()
    return redirect(url_for("staff.devices"), 303)


def _address(device: Device) -> str:
    keys = current_app.extensions["balie"]["settings"].keys
    return outside(url_for("entry.ask", token=links.token(keys, "device", device.id, device.generation)))
