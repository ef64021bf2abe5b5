"""Signing in and out."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlsplit

from flask import abort, current_app, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import logout_user

from booking import links
from booking.staff.accounts import Limit, Throttled, address_of, begin_try, forget_tries, signed_in
from booking.staff.identity import are_passwords_allowed, provider_of
from booking.web.forms import SignInForm
from booking.web.pages import now
from booking.web.staff import door
from booking.web.staff.account import AGAIN, BY_PROVIDER, begin_half, enter
from booking.web.staff.known import limits_of_known
from booking.web.towns import town


@door.get("/sign-in")
def sign_in() -> ResponseReturnValue:
    return _page(SignInForm())


@door.post("/sign-in")
def do_sign_in() -> ResponseReturnValue:
    """Checks the password; slows down who guesses, by account and by address, whether the account exists or not."""
    form = SignInForm()
    if not are_passwords_allowed(town().id):
        abort(404)
    if not form.validate():
        return _page(form), 422
    email, password = form.email.data or "", form.password.data or ""
    limits = limits_of_known(email) or _limits(email)
    try:
        tries = begin_try(limits, now())
    except Throttled as error:
        return _page(form, error.until), 429
    account = signed_in(town().id, email, password)
    if account is None:
        form.form_errors.append(_("The e-mail address or the password is not right."))
        return _page(form), 422
    forget_tries(tries)
    if account.has_totp:
        return begin_half(account)
    return enter(account, inside(request.args.get("next")))


@door.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    by_provider = session.get(BY_PROVIDER)
    logout_user()
    session.clear()
    if not by_provider:
        return redirect(url_for("door.sign_in"), 303)
    session[AGAIN] = True  # the next one at this computer is somebody else, perhaps
    return redirect(url_for("door.sign_in", out=1), 303)


def _page(form: SignInForm, wait_until: datetime | None = None) -> str:
    return render_template("staff/sign_in.html", form=form, wait_until=wait_until, provider=provider_of(town().id))


def inside(wanted: str | None) -> str:
    """Where to go next: only to a staff page of this municipality, never to another site."""
    parts = urlsplit(wanted or "")
    if wanted and not parts.netloc and not parts.scheme and parts.path.startswith("/staff/"):
        return f"{request.script_root}{wanted}"
    return url_for("staff.start")


def _limits(email: str) -> list[Limit]:
    """Few tries for an account from one address, more from everywhere; a browser that knows the account has its own."""
    key, where = current_app.extensions["balie"]["settings"].keys[0], address_of(request.remote_addr)
    account = f"{town().id}:{email.strip().lower()}"
    return [
        Limit(links.pseudonym(key, "account-from", f"{account}:{where}"), 5),
        Limit(links.pseudonym(key, "account", account), 50),
        Limit(links.pseudonym(key, "sign-in-from", f"{town().id}:{where}"), 50),
    ]
