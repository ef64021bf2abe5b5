"""Import of the catalogue with a dry run that shows the differences, and export of everything."""

from __future__ import annotations

from flask import abort, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking.db import db
from booking.privacy.export import archive
from booking.staff.audit import member, record
from booking.staff.models import Role
from booking.townhall.catalogue import Outcome, import_catalogue
from booking.townhall.models import Municipality
from booking.townhall.sheets import SheetError
from booking.web.admin import admin
from booking.web.admin.frame import back_to, saved
from booking.web.guards import require
from booking.web.pages import now, today
from booking.web.towns import town


@admin.get("/exchange")
def exchange() -> ResponseReturnValue:
    require(Role.ADMINISTRATOR, None)
    return _page()


@admin.post("/exchange/services")
def import_services() -> ResponseReturnValue:
    """Shows what the file would change, or with `import` changes it: all of it, or nothing, with every problem."""
    require(Role.ADMINISTRATOR, None)
    sent = request.files.get("file")
    content = sent.read() if sent else b""
    row = db.session.get(Municipality, town().id) or abort(404)
    try:
        outcome = import_catalogue(row, content, now())
    except SheetError as error:
        db.session.rollback()
        return _page(problems=error.problems), 422
    if "import" not in request.form:
        db.session.rollback()
        return _page(outcome=outcome)
    words = _(
        "%(added)s services added, %(changed)s changed, %(unchanged)s as they were.",
        added=outcome.added,
        changed=outcome.changed,
        unchanged=outcome.unchanged,
    )
    return saved(("municipality", row.id), "import_services", words, back_to("services"))


@admin.post("/exchange/export")
def export() -> ResponseReturnValue:
    """Everything as CSV files in one ZIP; who took it is written down."""
    account = require(Role.ADMINISTRATOR, None)
    row = db.session.get(Municipality, town().id) or abort(404)
    answer = make_response(archive(row))
    answer.headers["Content-Type"] = "application/zip"
    answer.headers["Content-Disposition"] = f'attachment; filename="{row.slug}-{today()}.zip"'
    record(member(account), "export", ("municipality", row.id), now())
    db.session.commit()
    return answer


def _page(outcome: Outcome | None = None, problems: list[str] | None = None) -> str:
    return render_template("admin/exchange.html", outcome=outcome, problems=problems or [])
