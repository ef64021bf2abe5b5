"""The way back in for who has forgotten the password: a link by e-mail. Nobody learns who has an account."""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from wtforms import StringField
from wtforms.validators import DataRequired

from booking import links
from booking.db import db
from booking.staff.accounts import Limit, Throttled, address_of, begin_try
from booking.staff.identity import are_passwords_allowed
from booking.staff.invitations import ask_for_password
from booking.web.forms import Form, stripped
from booking.web.pages import now
from booking.web.staff import door
from booking.web.towns import town

AN_HOUR = timedelta(hours=1)


class ForgottenForm(Form):
    email = StringField(
        _l("E-mail address"), filters=[stripped], validators=[DataRequired(_l("Enter your e-mail address."))]
    )


@door.get("/sign-in/forgotten")
def forgotten() -> ResponseReturnValue:
    _check()
    return _page(ForgottenForm(formdata=None))


@door.post("/sign-in/forgotten")
def ask_password() -> ResponseReturnValue:
    """Queues the letter, if there is an account; the answer is the same if there is none."""
    _check()
    form = ForgottenForm()
    if not form.validate():
        return _page(form), 422
    email = form.email.data or ""
    try:
        begin_try(_limits(email), now())
    except Throttled as error:
        return _page(form, error.until), 429
    ask_for_password(town().id, email, now())
    db.session.commit()
    return redirect(url_for("door.forgotten", sent=1), 303)


def _check() -> None:
    if not are_passwords_allowed(town().id):
        abort(404)


def _limits(email: str) -> list[Limit]:
    """Three letters an hour to one address, and few from one network: nobody's mailbox is filled."""
    key, where = current_app.extensions["balie"]["settings"].keys[0], address_of(request.remote_addr)
    return [
        Limit(links.pseudonym(key, "forgotten", f"{town().id}:{email.lower()}"), 3, AN_HOUR),
        Limit(links.pseudonym(key, "forgotten-from", f"{town().id}:{where}"), 10),
    ]


def _page(form: ForgottenForm, wait_until: datetime | None = None) -> str:
    is_sent = request.method == "GET" and bool(request.args.get("sent"))
    return render_template("staff/forgotten.html", form=form, wait_until=wait_until, is_sent=is_sent)
