"""Who works at the town hall: accounts, roles, invitations, and taking access away."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask import abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from sqlalchemy import select
from wtforms import BooleanField, Field, SelectField, ValidationError
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import DataRequired

from booking.config import LANGUAGES
from booking.db import db
from booking.outbox.models import Kind
from booking.spoken import language_name
from booking.staff.accounts import NOT_CHOSEN, invite, is_last_administrator, set_roles
from booking.staff.audit import member, record
from booking.staff.identity import identity_of, provider_of, unlink
from booking.staff.invitations import letter_about, link_of, open_until, send_invitation, void_links
from booking.staff.models import Role, Staff
from booking.web.admin import admin
from booking.web.admin.fields import EmailField, SeveralField, line
from booking.web.admin.frame import back_to, matching, saved
from booking.web.guards import require
from booking.web.language import language
from booking.web.pages import now, outside, paged
from booking.web.towns import here, town

ROLES = {
    Role.CLERK: _l("Clerk: works with the agenda"),
    Role.LEAD: _l("Lead: also messages, calendars and figures"),
    Role.MANAGER: _l("Manager: also hours, closures, and with all desks offices and services"),
    Role.ADMINISTRATOR: _l("Administrator: also the municipality and its staff"),
}


class StaffForm(FlaskForm):  # type: ignore[misc]
    """A member of staff: one role, at all desks or at some; which of both is never a guess."""

    name = line(_l("Name"), _l("Enter the name."), 120)
    email = EmailField(_l("E-mail address"), validators=[DataRequired(_l("Enter the e-mail address."))])
    language = SelectField(_l("Language"), choices=[SelectChoice(one, language_name(one)) for one in LANGUAGES])
    role = SelectField(_l("Role"), choices=[SelectChoice(role.value, name) for role, name in ROLES.items()])
    by_email = BooleanField(_l("Send the link by e-mail"))
    all_desks = BooleanField(_l("At all desks, also those to come"))
    desks = SeveralField(_l("Only at these desks"), coerce=int)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.desks.choices = [
            SelectChoice(desk.id, f"{desk.name(language())}, {desk.office.name(language())}") for desk in here().desks
        ]

    def validate_desks(self, field: Field) -> None:
        if field.data and self.role.data == Role.ADMINISTRATOR:
            raise ValidationError(_l("An administrator has all desks: tick none, or choose another role."))
        if self.role.data != Role.ADMINISTRATOR and bool(field.data) == self.all_desks.data:
            raise ValidationError(_l("Tick either all desks, or those at which this person works."))


@admin.get("/staff")
def staff() -> ResponseReturnValue:
    """All accounts, or those that answer a search (?q=)."""
    require(Role.ADMINISTRATOR, None)
    rows = db.session.scalars(select(Staff).where(Staff.municipality_id == town().id).order_by(Staff.name)).all()
    found = matching(rows, lambda one: f"{one.name} {one.email}")
    return render_template(
        "admin/staff.html", page=paged(found, 50), found=len(found), total=len(rows), roles=ROLES, desks=_desks()
    )


@admin.get("/staff/new")
def staff_new() -> ResponseReturnValue:
    require(Role.ADMINISTRATOR, None)
    return _page(StaffForm(data={"language": town().language, "desks": [], "by_email": True}), None)


@admin.post("/staff/new")
def add_staff() -> ResponseReturnValue:
    """Adds the account and invites its owner to choose a password."""
    author = require(Role.ADMINISTRATOR, None)
    form = StaffForm()
    if _is_taken(form, None) or not form.validate():
        return _page(form, None), 422
    row = invite(town().id, form.email.data or "", form.name.data or "", form.language.data, now())
    set_roles(row, Role(form.role.data), form.desks.data or [])
    record(member(author), "invite", ("staff", row.id), now())
    if form.by_email.data:
        send_invitation(row, now())
    db.session.commit()
    flash(
        _("The invitation is on its way to %(email)s.", email=row.email)
        if form.by_email.data
        else _("The account is there. Give the link below to its owner.")
    )
    return redirect(url_for("admin.staff_one", id=row.id), 303)


@admin.get("/staff/<int:id>")
def staff_one(id: int) -> ResponseReturnValue:
    row = _account(id)
    values: Mapping[str, Any] = {"role": row.roles[0].role.value if row.roles else Role.CLERK.value}
    held = [one.desk_id for one in row.roles]
    desks = {"all_desks": None in held, "desks": [id for id in held if id is not None]}
    return _page(StaffForm(obj=row, data={**values, **desks}), row)


@admin.post("/staff/<int:id>")
def save_staff(id: int) -> ResponseReturnValue:
    """Changes name, address and role; from the next click on the new role holds."""
    row = _account(id)
    form = StaffForm()
    if _is_taken(form, id) or not form.validate():
        return _page(form, row), 422
    if Role(form.role.data) != Role.ADMINISTRATOR and is_last_administrator(row):
        form.role.errors = [_("Somebody must stay administrator. Make another one first.")]
        return _page(form, row), 422
    email = (form.email.data or "").lower()
    if email != row.email:
        void_links(row)
    row.name, row.email, row.language = form.name.data or "", email, form.language.data
    before = _roles(row)
    set_roles(row, Role(form.role.data), form.desks.data or [])
    words, details = _("The account is saved."), {"before": before, "after": _roles(row)}
    return saved(("staff", id), "change_staff", words, back_to("staff_one", id=id), **details)


@admin.post("/staff/<int:id>/invite")
def invite_again(id: int) -> ResponseReturnValue:
    """A new link to choose a password; the old password, older links and all sessions of the account end."""
    row = _account(id)
    if is_last_administrator(row):
        abort(409)
    row.password_hash = NOT_CHOSEN
    row.generation += 1
    row.invited_at, row.asked_at = now(), None
    return saved(("staff", id), "invite", _("There is a new link; the old one is void."), back_to("staff_one", id=id))


@admin.post("/staff/<int:id>/send")
def send_link(id: int) -> ResponseReturnValue:
    """Sends the link that waits to its owner, by e-mail."""
    row = _account(id)
    if open_link_until(row) is None:
        abort(409)
    send_invitation(row, now())
    words = _("The invitation is on its way to %(email)s.", email=row.email)
    return saved(("staff", id), "send_invitation", words, back_to("staff_one", id=id))


@admin.post("/staff/<int:id>/revoke")
def revoke(id: int) -> ResponseReturnValue:
    """Ends the access at once, with all sessions; or gives it back."""
    row = _account(id)
    if request.form.get("back"):
        row.is_active = True
        return saved(("staff", id), "restore_staff", _("The account works again."), back_to("staff_one", id=id))
    if is_last_administrator(row):
        abort(409)
    row.is_active = False
    row.generation += 1
    return saved(
        ("staff", id), "revoke_staff", _("The account is shut; its sessions have ended."), back_to("staff_one", id=id)
    )


@admin.post("/staff/<int:id>/second-factor")
def forget_second_factor(id: int) -> ResponseReturnValue:
    """Takes the second factor off, for somebody whose phone is gone; they set it up anew."""
    row = _account(id)
    row.has_totp, row.totp_generation, row.totp_step = False, row.totp_generation + 1, None
    row.generation += 1
    words = _("The second factor is off; the owner can set it up anew.")
    return saved(("staff", id), "forget_second_factor", words, back_to("staff_one", id=id))


@admin.post("/staff/<int:id>/unlink")
def forget_identity(id: int) -> ResponseReturnValue:
    """Takes off who the account is at the town's provider: its next sign-in there links it anew."""
    row = _account(id)
    unlink(row)
    words = _("The link is taken off; the sessions of the account have ended.")
    return saved(("staff", id), "unlink", words, back_to("staff_one", id=id))


def join_address(row: Staff) -> str:
    """The secret link with which the owner chooses a password; for a week."""
    keys = current_app.extensions["balie"]["settings"].keys
    return outside(url_for("door.join", token=link_of(keys, row, Kind.INVITATION)))


def open_link_until(row: Staff) -> datetime | None:
    """Until when the link of the invitation works; None if there is none that does."""
    until = open_until(row, Kind.INVITATION)
    return until if until is not None and now() < until else None


def _is_taken(form: StaffForm, id: int | None) -> bool:
    wanted = (form.email.data or "").strip().lower()
    query = select(Staff.id).where(Staff.municipality_id == town().id, Staff.email == wanted, Staff.id != (id or 0))
    if db.session.scalar(query) is None:
        return False
    form.validate()
    form.email.errors = [_("Somebody else has this e-mail address.")]
    return True


def _account(id: int) -> Staff:
    require(Role.ADMINISTRATOR, None)
    return db.session.scalar(select(Staff).where(Staff.id == id, Staff.municipality_id == town().id)) or abort(404)


def _roles(row: Staff) -> list[tuple[str, int | None]]:
    """Role and desk (None: all), as an audit line keeps them."""
    return [(held.role.value, held.desk_id) for held in row.roles]


def _desks() -> dict[int, str]:
    return {desk.id: desk.name(language()) for desk in here().desks}


def _page(form: StaffForm, row: Staff | None) -> str:
    is_invited = row is not None and open_link_until(row) is not None
    link = join_address(row) if row is not None and is_invited else ""
    sent = letter_about(row) if row is not None and is_invited else None
    provider = provider_of(town().id) if row is not None and identity_of(row) else None
    return render_template("admin/account.html", form=form, row=row, link=link, sent=sent, provider=provider)
