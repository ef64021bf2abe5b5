"""The logo: a picture from a file, what it shows in words, and taking it off or another one, with a way back."""

from __future__ import annotations

from typing import Any

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import FileField

from booking.db import db
from booking.staff.models import Role
from booking.townhall.logo import Drawn, NoPicture, as_drawn, drawn
from booking.townhall.models import Logo, Municipality
from booking.townhall.revisions import raise_town
from booking.web.admin import admin
from booking.web.admin.fields import ByLanguage
from booking.web.admin.frame import back_to, saved
from booking.web.forms import Form
from booking.web.guards import require
from booking.web.pages import now
from booking.web.towns import town


class LogoForm(Form):
    file = FileField(_l("Picture"))
    texts = ByLanguage(_l("What it shows, in words"), 120, needs="none")


@admin.get("/town/logo")
def town_logo() -> ResponseReturnValue:
    require(Role.ADMINISTRATOR, None)
    row = _logo()
    return _page(LogoForm(data={"texts": row.texts if row else {}}), row)


@admin.post("/town/logo")
def save_town_logo() -> ResponseReturnValue:
    """Takes the picture, drawn anew, or only the words for the one that is there."""
    require(Role.ADMINISTRATOR, None)
    row = _logo()
    form = LogoForm(data={"texts": row.texts if row else {}})
    sent = request.files.get("file")
    content = sent.read() if sent else b""
    is_good = form.validate()
    picture = _picture(form, content, row)
    if not is_good or form.file.errors:
        return _page(form, row), 422
    if row is None:
        row = Logo(municipality_id=town().id)
    if picture is not None:
        _show(row, picture)
    form.texts.populate_obj(row, "texts")
    db.session.add(row)
    return _saved("change_logo", _("The logo is saved."))


@admin.post("/town/logo/shown")
def show_town_logo() -> ResponseReturnValue:
    """Takes the logo off all pages, or puts it back."""
    require(Role.ADMINISTRATOR, None)
    row = _logo() or abort(404)
    row.is_shown = bool(request.form.get("back"))
    words = _("The logo is shown again.") if row.is_shown else _("The logo is off; it is kept here to be shown again.")
    return _saved("show_logo" if row.is_shown else "hide_logo", words)


@admin.post("/town/logo/former")
def show_former_logo() -> ResponseReturnValue:
    """Shows the picture of before instead; pressed once more, it is as it was."""
    require(Role.ADMINISTRATOR, None)
    row = _logo() or abort(404)
    _show(row, as_drawn(row.former or abort(404)))
    return _saved("change_logo", _("The picture of before is shown again."))


def _show(row: Logo, picture: Drawn) -> None:
    """Shows the picture from now on, and keeps the one before it."""
    if row.fingerprint not in (None, picture.fingerprint):
        row.former = row.content
    row.content, row.fingerprint = picture.content, picture.fingerprint
    row.width, row.height, row.is_shown = picture.width, picture.height, True


def _picture(form: LogoForm, content: bytes, row: Logo | None) -> Drawn | None:
    """The picture of the file; None where none was chosen, which is wrong where there is no logo yet."""
    try:
        if content:
            return drawn(content)
    except NoPicture:
        words = _("Choose a PNG, JPEG or WebP picture of 16 pixels at least and 900 kilobytes at most.")
        form.file.errors = [words]
    if row is None and not content:
        form.file.errors = [_("Choose a picture.")]
    return None


def _saved(action: str, words: str) -> ResponseReturnValue:
    municipality = db.session.get_one(Municipality, town().id)
    raise_town(municipality, now())
    return saved(("municipality", municipality.id), action, words, back_to("town_logo"))


def _logo() -> Logo | None:
    return db.session.get(Logo, town().id)


def _page(form: Any, row: Logo | None) -> str:
    has_former = row is not None and row.former is not None
    return render_template("admin/logo.html", form=form, row=row, has_former=has_former)
