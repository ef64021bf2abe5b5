"""Signing in with the town's own provider: there, and back."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import abort, current_app, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import links
from booking.db import begin_write, db
from booking.staff.accounts import Limit, Throttled, address_of, begin_try, forget_tries
from booking.staff.audit import member, record
from booking.staff.identity import provider_of, staff_for, unsealed
from booking.staff.models import SignInProvider, Staff
from booking.staff.openid import (
    Client,
    Person,
    Unproven,
    Unreachable,
    Way,
    check_answer,
    endpoints,
    made_pass,
    person,
    sign_in_address,
    sign_out_address,
)
from booking.web.pages import now, outside
from booking.web.staff import door
from booking.web.staff.account import AGAIN, BY_PROVIDER, begin_half, enter, invited
from booking.web.staff.sign_in import inside
from booking.web.towns import town

ASKED_FOR = timedelta(minutes=15)  # between going there and coming back
ASKED = "asked"


@dataclass(frozen=True)
class Asked:
    """What this browser's session remembers of having been sent to the provider."""

    handle: str
    issuer: str
    address: str  # where to go when it is over
    invitation: str


@door.get("/sign-in/provider")
def to_provider() -> ResponseReturnValue:
    """Sends the person to the provider; nothing changes but this browser's session."""
    provider = provider_of(town().id) or abort(404)
    invitation = request.args.get("join", "")
    if invitation:
        invited(invitation)
    client, name = client_of(provider), provider.name
    db.session.rollback()
    try:
        found = endpoints(client.issuer, now(), may_be_here=may_be_here())
    except Unreachable:
        return _away(name)
    handle = secrets.token_hex(16)
    asks_again = bool(invitation or session.pop(AGAIN, None))
    session[ASKED] = [handle, client.issuer, inside(request.args.get("next")), invitation, now().isoformat()]
    way = Way(client, found, made_pass(_keys()[0], handle))
    return redirect(sign_in_address(way, "login" if asks_again else None), 303)


@door.get("/sign-in/provider/back")
def from_provider() -> ResponseReturnValue:
    """Signs in who comes back. It is the one GET that changes something, because the provider sends people here that
    way; it works once, and only in the browser that was sent there.
    """
    provider, asked = provider_of(town().id) or abort(404), _asked()
    if asked is None or asked.issuer != provider.issuer:
        return _no(_("That took too long, or began in another window. Begin again."), 400)
    client, name = client_of(provider), provider.name
    limit = Limit(links.pseudonym(_keys()[0], "sign-in-from", f"{town().id}:{address_of(request.remote_addr)}"), 50)
    try:
        tries = begin_try([limit], now())
    except Throttled:
        return _no(_("There were too many tries from your network. Try again in a quarter of an hour."), 429)
    db.session.commit()
    try:
        found = _who(client, asked)
    except Unreachable:
        return _away(name)
    except Unproven as error:
        current_app.logger.warning("sign-in with the provider of %s: unproven, %s", town().slug, error)
        return _no(_("%(name)s did not sign you in. Begin again.", name=name), 400)
    begin_write()
    account = _account(asked, found)
    if account is None:
        db.session.rollback()
        return _unknown(name)
    forget_tries(tries)
    return _let_in(account, asked)


@door.get("/sign-out/provider")
def leave_provider() -> ResponseReturnValue:
    """Where a shared computer forgets who signed in at the provider; our own session has ended before."""
    provider = provider_of(town().id) or abort(404)
    client, back = client_of(provider), outside(url_for("door.sign_in"))
    db.session.rollback()
    try:
        found = endpoints(client.issuer, now(), may_be_here=may_be_here())
    except Unreachable:
        return redirect(url_for("door.sign_in"), 303)
    return redirect(sign_out_address(client, found, back) or url_for("door.sign_in"), 303)


def client_of(provider: SignInProvider) -> Client:
    return Client(provider.issuer, provider.client_id, unsealed(_keys(), provider), return_address())


def return_address() -> str:
    """The exact address to which the provider sends people back; it must be registered there."""
    return outside(url_for("door.from_provider"))


def may_be_here() -> bool:
    """Whether the provider may be on this machine and without https: while Balie itself is only tried out."""
    return not current_app.extensions["balie"]["settings"].is_https


def _asked() -> Asked | None:
    """What the session remembers, for once; None if nothing, or of too long ago."""
    remembered = session.pop(ASKED, None)
    if remembered is None:
        return None
    *rest, at = remembered
    is_fresh = datetime.fromisoformat(at) <= now() <= datetime.fromisoformat(at) + ASKED_FOR
    return Asked(*rest) if is_fresh else None


def _who(client: Client, asked: Asked) -> Person:
    """Raises Unreachable or Unproven."""
    found = endpoints(client.issuer, now(), may_be_here=may_be_here())
    way = Way(client, found, made_pass(_keys()[0], asked.handle))
    return person(way, check_answer(request.args, way), now())


def _account(asked: Asked, found: Person) -> Staff | None:
    """Whose account it is, read again in the transaction that signs in; None if nobody's."""
    provider = provider_of(town().id)
    if provider is None or provider.issuer != asked.issuer:
        return None
    return staff_for(provider, found, invited(asked.invitation) if asked.invitation else None)


def _let_in(account: Staff, asked: Asked) -> ResponseReturnValue:
    provider = provider_of(account.municipality_id)
    record(member(account), "sign_in_provider", ("staff", account.id), now())
    asks_digits = account.has_totp and provider is not None and not provider.has_second_factor
    answer = begin_half(account) if asks_digits else enter(account, asked.address)
    session[BY_PROVIDER] = True
    return answer


def _away(name: str) -> ResponseReturnValue:
    return _no(_("%(name)s does not answer just now. Try again in a few minutes.", name=name), 503)


def _unknown(name: str) -> ResponseReturnValue:
    session[AGAIN] = True
    text = _(
        "%(name)s knows you, but you have no account here that is open. Ask an administrator to invite you, or sign in"
        " as somebody else.",
        name=name,
    )
    return _no(text, 403)


def _no(text: str, status: int) -> ResponseReturnValue:
    return render_template("staff/not_signed_in.html", text=text), status


def _keys() -> links.Keys:
    keys: links.Keys = current_app.extensions["balie"]["settings"].keys
    return keys
