"""One's own account: choosing a password from an invitation, and the second factor."""

from __future__ import annotations

from datetime import datetime, timedelta

import segno
from flask import abort, current_app, flash, redirect, render_template, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import login_user
from wtforms import PasswordField, StringField
from wtforms.validators import DataRequired, EqualTo, Length

from booking import links
from booking.db import begin_write, db
from booking.staff.accounts import (
    LONGEST_WINDOW,
    NOT_CHOSEN,
    Limit,
    Throttled,
    begin_try,
    choose_password,
    forget_tries,
    hashed,
    signed_in,
)
from booking.staff.audit import member, record, trace_once
from booking.staff.identity import are_passwords_allowed, identity_of, provider_of
from booking.staff.invitations import Ended, whose
from booking.staff.models import Staff
from booking.staff.twofactor import accept, accept_recovery, address, codes_left, recovery_codes, secret
from booking.web.forms import Form, stripped
from booking.web.guards import current_staff
from booking.web.language import language
from booking.web.pages import now
from booking.web.security import SignedIn
from booking.web.staff import door, staff
from booking.web.staff.known import remember
from booking.web.towns import town

HALF_FOR = timedelta(minutes=10)  # between the password and the digits
CODES_SHOWN = "codes"  # in the session: since when they may be looked at
BY_PROVIDER, AGAIN = "by_provider", "asks_again"  # in the session: came from there; is to be asked who it is


class PasswordForm(Form):
    password = PasswordField(
        _l("New password"),
        validators=[
            DataRequired(_l("Enter a password.")),
            Length(12, 200, message=_l("Take 12 characters at least; a short sentence is easy to keep.")),
        ],
    )
    again = PasswordField(
        _l("The same again"), validators=[EqualTo("password", message=_l("The two passwords are not the same."))]
    )


class OwnPasswordForm(Form):
    password = PasswordField(_l("Password"), validators=[DataRequired(_l("Enter your password."))])


class DigitsForm(Form):
    digits = StringField(
        _l("Six digits"), filters=[stripped], validators=[DataRequired(_l("Enter the six digits of your app."))]
    )


@door.get("/join/<token>")
def join(token: str) -> ResponseReturnValue:
    """Where the link of an invitation leads: to choose a password."""
    return _join_page(PasswordForm(), token)


@door.post("/join/<token>")
def do_join(token: str) -> ResponseReturnValue:
    """Sets the password and signs in, or asks for the digits first; the link is void from then on."""
    form = PasswordForm()
    if not are_passwords_allowed(invited(token).municipality_id):
        abort(404)
    if not form.validate():
        return _join_page(form, token), 422
    db.session.rollback()  # hashing takes long: nobody waits for SQLite's write lock meanwhile
    password_hash = hashed(form.password.data or "")
    begin_write()
    row = invited(token)
    choose_password(row, password_hash)
    return begin_half(row) if row.has_totp else enter(row)


@door.get("/sign-in/digits")
def digits() -> ResponseReturnValue:
    """The second step of signing in."""
    _half_signed_in()
    return render_template("staff/digits.html", form=DigitsForm(), wait_until=None)


@door.post("/sign-in/digits")
def check_digits() -> ResponseReturnValue:
    """Few tries; the right digits sign in, each once."""
    row, form = _half_signed_in(), DigitsForm()
    if not form.validate():
        return render_template("staff/digits.html", form=form, wait_until=None), 422
    limits = _limits(row)
    actor, row_id, typed = member(row), row.id, form.digits.data or ""
    try:
        tries = begin_try(limits, now())
    except Throttled as error:
        trace_once(actor, "digits_refused", ("staff", row_id), now())
        return _digits_page(form, error.until), 429
    row = db.session.get_one(Staff, row_id)
    is_recovery = accept_recovery(_keys(), row, typed)
    if not is_recovery and not accept(_keys(), row, typed, now()):
        form.digits.errors = [_("These are not the digits of now. Wait for the next ones.")]
        return _digits_page(form), 422
    forget_tries(tries)
    if is_recovery:
        record(actor, "use_recovery_code", ("staff", row_id), now())
    return enter(row)


@staff.get("/account")
def account() -> ResponseReturnValue:
    """One's own account; the second factor is set up from here."""
    return _account_page(OwnPasswordForm(), current_staff())


@staff.post("/account/second-factor/secret")
def show_secret() -> ResponseReturnValue:
    """Makes a new secret and shows it this once, to who knows the password: an open session is not enough."""
    row, form = current_staff(), OwnPasswordForm()
    if row.has_totp:
        abort(404)
    if not form.validate():
        return _account_page(form, row), 422
    limits = [Limit(links.pseudonym(_keys()[0], "own-password", str(row.id)), 5)]
    town_id, email = row.municipality_id, row.email
    try:
        tries = begin_try(limits, now())
    except Throttled as error:
        return _account_page(form, current_staff(), error.until), 429
    known = signed_in(town_id, email, form.password.data or "")
    if known is None or known.has_totp:
        form.password.errors = [_("The password is not right.")]
        return _account_page(form, current_staff()), 422
    forget_tries(tries)
    known.totp_generation += 1
    db.session.commit()
    return _secret_page(known)


@staff.post("/account/second-factor")
def turn_second_factor_on() -> ResponseReturnValue:
    """The first digits show that the app knows the secret; they are asked for from then on, and other sessions end."""
    row, form = current_staff(), DigitsForm()
    if row.has_totp:
        abort(404)
    if not form.validate() or not accept(_keys(), row, form.digits.data or "", now()):
        form.digits.errors = form.digits.errors or [_("These are not the digits of now. Wait for the next ones.")]
        return render_template("staff/second_factor.html", form=form, picture="", secret=""), 422
    row.has_totp, row.recovery_used = True, 0
    row.generation += 1
    _stay(row)
    session[CODES_SHOWN] = now().isoformat()
    record(member(row), "set_second_factor", ("staff", row.id), now())
    db.session.commit()
    flash(_("From now on you sign in with the digits as well."))
    return redirect(url_for("staff.codes"), 303)


@staff.get("/account/second-factor/codes")
def codes() -> ResponseReturnValue:
    """The recovery codes, for some minutes in the browser in which the second factor was turned on."""
    row, at = current_staff(), session.get(CODES_SHOWN)
    if not row.has_totp or at is None or now() > datetime.fromisoformat(at) + HALF_FOR:
        return redirect(url_for("staff.account"), 302)
    return render_template("staff/recovery.html", codes=recovery_codes(_keys()[0], row))


def begin_half(row: Staff) -> ResponseReturnValue:
    """The password was right; what is missing are the digits."""
    session.clear()
    session["half"] = [row.id, row.generation, now().isoformat()]
    db.session.commit()
    return redirect(url_for("door.digits"), 303)


def enter(row: Staff, address: str | None = None) -> ResponseReturnValue:
    """Signs in; this browser knows the account from now on. Commits."""
    _stay(row)
    record(member(row), "sign_in", ("staff", row.id), now())
    answer = redirect(address or url_for("staff.start"), 303)
    remember(answer, row)
    db.session.commit()
    return answer


def _stay(row: Staff) -> None:
    """This browser is signed in from now on; of before it is only kept where the person comes from."""
    by_provider = session.get(BY_PROVIDER)
    session.clear()
    login_user(SignedIn(row))
    if by_provider:
        session[BY_PROVIDER] = True
    session.permanent = True


def _half_signed_in() -> Staff:
    """Whose password was right a moment ago; else 404."""
    id, generation, at = session.get("half", [0, 0, ""])
    row = db.session.get(Staff, id) if id else None
    if row is None or row.municipality_id != town().id or not row.is_active or row.generation != generation:
        abort(404)
    if now() > datetime.fromisoformat(at) + HALF_FOR:
        abort(404)
    return row


def invited(token: str) -> Staff:
    """The account of the link, while it waits for a password."""
    try:
        return whose(_keys(), town().id, token, now()) or abort(404)
    except Ended:
        abort(410)


def _limits(row: Staff) -> list[Limit]:
    """Six digits must not be guessed in months: 5 tries in a quarter of an hour, 20 in a week.

    They begin anew with another generation: an administrator's new link, or setting the second factor up again.
    """
    about = links.pseudonym(_keys()[0], "digits", f"{row.id}:{row.generation}")
    return [Limit(about, 5), Limit(links.pseudonym(_keys()[0], "digits-week", about), 20, LONGEST_WINDOW)]


def _join_page(form: PasswordForm, token: str) -> str:
    row, provider = invited(token), provider_of(town().id)
    return render_template("staff/join.html", form=form, row=row, token=token, provider=provider)


def _digits_page(form: DigitsForm, wait_until: datetime | None = None) -> str:
    return render_template("staff/digits.html", form=form, wait_until=wait_until)


def _account_page(form: OwnPasswordForm, row: Staff, wait_until: datetime | None = None) -> str:
    provider = provider_of(row.municipality_id) if identity_of(row) else None
    has_password = row.password_hash != NOT_CHOSEN
    about = {"provider": provider, "has_password": has_password, "left": codes_left(row), "wait_until": wait_until}
    return render_template("staff/account.html", form=form, row=row, **about)


def _secret_page(row: Staff) -> str:
    code = segno.make(address(_keys()[0], row, f"Balie {town().name(language())}"), micro=False, error="m")
    picture = code.svg_data_uri(scale=4, border=3, light="#fff")
    own = secret(_keys()[0], row)
    return render_template("staff/second_factor.html", form=DigitsForm(formdata=None), picture=picture, secret=own)


def _keys() -> links.Keys:
    keys: links.Keys = current_app.extensions["balie"]["settings"].keys
    return keys
