"""How staff sign in: with the town's own OpenID Connect provider, with passwords, or with both."""

from __future__ import annotations

from typing import Any

from flask import abort, current_app, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, Field, PasswordField, ValidationError

from booking import links
from booking.db import begin_write, db
from booking.staff.identity import provider_of, seal, unsealed
from booking.staff.models import Identity, Role, SignInProvider, Staff
from booking.staff.openid import Endpoints, Unreachable, asked, is_fit
from booking.web.admin import admin
from booking.web.admin.fields import line
from booking.web.admin.frame import back_to, saved
from booking.web.forms import Form
from booking.web.guards import current_staff, require
from booking.web.pages import outside
from booking.web.staff.provider import may_be_here, return_address
from booking.web.towns import town
from booking.web.typed import TypedForm, not_typed, typed_forms


class ProviderForm(Form):
    """What both sides must know; the secret is typed and never shown."""

    name = line(_l("What staff call it"), _l("Enter what staff call it, like town account."), 60)
    issuer = line(_l("Address of the provider (issuer)"), _l("Enter the address of the provider."), 300)
    client_id = line(_l("Client ID"), _l("Enter the client ID that the provider gave you."), 200)
    secret = PasswordField(_l("Client secret"))
    has_second_factor = BooleanField(_l("The provider asks for a second factor itself"))
    allows_passwords = BooleanField(_l("Staff may also sign in with e-mail address and password"))

    def validate_issuer(self, field: Field) -> None:
        if not is_fit(field.data, may_be_here=may_be_here()):
            raise ValidationError(_l("Enter an address like https://login.example.org, with a name and https."))


@admin.get("/sign-in")
def sign_in() -> ResponseReturnValue:
    require(Role.ADMINISTRATOR, None)
    row = provider_of(town().id)
    return _page(ProviderForm(obj=row) if row else ProviderForm(data={"allows_passwords": True}))


@admin.post("/sign-in")
def save_sign_in() -> ResponseReturnValue:
    """Keeps the provider once it has answered. A secret is kept only for the provider for which it was typed."""
    author_id, form = require(Role.ADMINISTRATOR, None).id, ProviderForm()
    if not form.validate():
        return _page(form), 422
    db.session.rollback()  # nobody waits for the database while the provider is asked
    try:
        found = asked(form.issuer.data or "", may_be_here=may_be_here())
    except Unreachable:
        form.issuer.errors = [_("No OpenID Connect provider answers there under this name. Check the address.")]
        return _page(form), 422
    begin_write()
    author = require(Role.ADMINISTRATOR, None)
    if not form.allows_passwords.data and not _is_known(author, found.issuer):
        form.allows_passwords.errors = [
            _("Sign in with the provider once yourself before you switch passwords off; else nobody may get in.")
        ]
        return _page(form), 422
    _keep(form, found)
    return saved(("staff", author_id), "change_sign_in", _("The sign-in is saved."), back_to("sign_in"))


@admin.post("/sign-in/end")
def end_sign_in() -> ResponseReturnValue:
    """Takes the provider off, once its name was typed; who is linked to it stays so for the day it comes back."""
    author, row = require(Role.ADMINISTRATOR, None), provider_of(town().id) or abort(404)
    if refused := not_typed(row.name, "end"):
        return _page(ProviderForm(formdata=None, obj=row), refused), 422
    db.session.delete(row)
    words = _("Staff sign in with their passwords again.")
    return saved(("staff", author.id), "end_sign_in", words, back_to("sign_in"))


def _keep(form: ProviderForm, found: Endpoints) -> None:
    row = provider_of(town().id)
    if row is None:
        row = SignInProvider(municipality_id=town().id)
        db.session.add(row)
    row.name, row.issuer, row.client_id = form.name.data or "", found.issuer, form.client_id.data or ""
    row.has_second_factor, row.allows_passwords = form.has_second_factor.data, form.allows_passwords.data
    if form.secret.data:
        seal(_keys(), row, form.secret.data)
    elif unsealed(_keys(), row) is None:
        row.secret = None  # none, or one that was meant for another provider


def _is_known(author: Staff, issuer: str) -> bool:
    found = db.session.get(Identity, author.id)
    return found is not None and found.issuer == issuer


def _page(form: ProviderForm, refused: TypedForm | None = None) -> str:
    row = provider_of(current_staff().municipality_id)
    about: dict[str, Any] = {
        "row": row,
        "has_secret": row is not None and unsealed(_keys(), row) is not None,
        "addresses": (return_address(), outside(url_for("door.sign_in"))),
        "end": typed_forms(row.name, ("end",), refused)["end"] if row else None,
        "problems": refused is not None,
    }
    return render_template("admin/sign_in.html", form=form, **about)


def _keys() -> links.Keys:
    keys: links.Keys = current_app.extensions["balie"]["settings"].keys
    return keys
