"""Guards: every blueprint is registered with the one that stands at its door; there is no door without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, Flask, abort, current_app, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from booking import links
from booking.db import db, reading_together
from booking.staff.accounts import holds
from booking.staff.models import Device, DeviceKind, Place, Role, Staff
from booking.web.towns import LOOKS_ITSELF, here, load_town, town

DEVICE_COOKIE = "balie-device"  # of its own: a screen stays signed in over a weekend, people do not


@dataclass(frozen=True)
class Guard:
    """Who may pass, in words, and the check before each request; what the check returns is the answer instead."""

    words: str
    check: Callable[[], ResponseReturnValue | None]


def everyone(because: str) -> Guard:
    """A public blueprint; the reason is said."""
    return Guard(f"everyone: {because}", lambda: None)


def signed_in_staff() -> Guard:
    return Guard("staff of this municipality who are signed in", _check_staff)


def managing_staff() -> Guard:
    return Guard("managers of this municipality, of one desk at least, who are signed in", _check_managing)


def signed_in_device() -> Guard:
    return Guard("kiosks and screens of this municipality that are signed in", _check_device)


def register(app: Flask, blueprint: Blueprint, guard: Guard, url_prefix: str | None = None) -> None:
    """Registers the blueprint behind its guard."""
    app.extensions["balie"].setdefault("guards", {})[blueprint.name] = guard
    app.register_blueprint(blueprint, url_prefix=url_prefix)


def come_in() -> ResponseReturnValue | None:
    """Before each request: which town it is for, and what the guard of the blueprint says to whoever asks."""
    with reading_together():
        load_town(may_be_old=request.endpoint in LOOKS_ITSELF)
        return _stand_guard()


def _stand_guard() -> ResponseReturnValue | None:
    """A route without a guard does not exist."""
    if request.endpoint is None:
        return None
    guard = current_app.extensions["balie"]["guards"].get(request.blueprint)
    if guard is None:
        abort(404)
    answer: ResponseReturnValue | None = guard.check()
    return answer


def current_staff() -> Staff:
    """Who is signed in; 404 for anybody else, though the guard should have kept them out."""
    staff = current_user._get_current_object() if current_user.is_authenticated else None
    if staff is None or staff.row.municipality_id != town().id:
        abort(404)
    row: Staff = staff.row
    return row


def may(staff: Staff, role: Role, desk_id: int | None) -> bool:
    """Whether the member of staff has at least this role at the desk (None: in the whole municipality)."""
    office_id = here().office_of.get(desk_id) if desk_id is not None else None
    return holds(staff, role, Place(desk_id, office_id))


def may_in(staff: Staff, role: Role, office_id: int) -> bool:
    """Whether the member of staff has at least this role in the whole office."""
    return holds(staff, role, Place(office_id=office_id))


def require_in(role: Role, office_id: int) -> Staff:
    """The signed-in member of staff, if they have the role in the whole office; else 404."""
    staff = current_staff()
    if not may_in(staff, role, office_id):
        abort(404)
    return staff


def require(role: Role, desk_id: int | None) -> Staff:
    """The signed-in member of staff, if they have the role at the desk (None: in the whole municipality); else 404."""
    staff = current_staff()
    if not may(staff, role, desk_id):
        abort(404)
    return staff


def current_device(kind: DeviceKind | None = None) -> Device:
    """The kiosk or screen that asks, of this kind if one is said; 404 for anybody else."""
    keys = current_app.extensions["balie"]["settings"].keys
    claim = links.claim(keys, DEVICE_COOKIE, request.cookies.get(DEVICE_COOKIE, ""))
    device = db.session.get(Device, claim.id) if claim else None
    if claim is None or device is None or device.ended_at or device.generation != claim.generation:
        abort(404)
    if device.office_id not in here().offices or kind not in (None, device.kind):
        abort(404)
    return device


def _check_device() -> None:
    current_device()


def manages(staff: Staff) -> bool:
    """Whether the member of staff manages anything: a desk, an office, or the whole municipality."""
    return any(held.role.rank >= Role.MANAGER.rank for held in staff.roles)


def _check_managing() -> ResponseReturnValue | None:
    answer = _check_staff()
    if answer is None and not manages(current_staff()):
        abort(404)
    return answer


def _check_staff() -> ResponseReturnValue | None:
    town()
    if current_user.is_authenticated and current_user.row.municipality_id == town().id:
        return None
    if request.method != "GET":
        abort(403)
    return redirect(url_for("door.sign_in", next=request.full_path.rstrip("?")))
