"""Putting back what stood in a form before it was saved."""

from __future__ import annotations

from datetime import timedelta

from flask import abort
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from booking.db import db
from booking.staff.models import AuditLine, Role, Staff
from booking.townhall.directory import desk_with
from booking.townhall.former import ChangedAgain, put_back
from booking.townhall.models import Municipality
from booking.townhall.revisions import raise_town
from booking.web.admin import admin
from booking.web.admin.frame import saved
from booking.web.guards import require, require_in
from booking.web.pages import failure, now
from booking.web.towns import town

UNDO_FOR = timedelta(days=1)


@admin.post("/undo/<kind>/<int:id>")
def undo_saving(kind: str, id: int) -> ResponseReturnValue:
    """Takes back what one saved last of this thing; pressed once more, it is as it was saved."""
    last = _last_saving(_author(kind, id), kind, id)
    if last is None or "changes" not in last.details:
        abort(404)
    raise_town(db.session.get_one(Municipality, town().id), now())
    try:
        put_back(last.details["changes"])
        return saved((kind, id), "undo_saving", _("It is as it was before."), last.details["address"])
    except (ChangedAgain, IntegrityError):
        db.session.rollback()
    words = _("Somebody changed it again since. Look at it, and change it by hand.")
    return failure(409, _("It cannot be undone any more"), words)


def _author(kind: str, id: int) -> Staff:
    """Who is signed in, if they may still change the thing; else 404."""
    if kind == "municipality" and id == town().id:
        return require(Role.ADMINISTRATOR, None)
    if kind == "service":
        return require(Role.MANAGER, None)
    if kind == "desk":
        desk = desk_with(town(), id) or abort(404)
        return require_in(Role.MANAGER, desk.office_id)
    return require_in(Role.MANAGER, id) if kind == "office" else abort(404)


def _last_saving(author: Staff, kind: str, id: int) -> AuditLine | None:
    lines = select(AuditLine).where(AuditLine.object_kind == kind, AuditLine.object_id == id)
    lines = lines.where(AuditLine.municipality_id == town().id, AuditLine.staff_id == author.id)
    return db.session.scalar(lines.where(AuditLine.at > now() - UNDO_FOR).order_by(AuditLine.id.desc()).limit(1))
