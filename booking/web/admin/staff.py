"""Who works at the town hall: accounts, roles, invitations, and taking access away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from flask import abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from markupsafe import Markup
from sqlalchemy import select
from wtforms import BooleanField, Field, SelectField, ValidationError
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.utils import unset_value
from wtforms.validators import DataRequired

from booking.config import LANGUAGES
from booking.db import db
from booking.outbox.models import Kind
from booking.spoken import language_name
from booking.staff.accounts import NOT_CHOSEN, administers_alone, invite, is_last_administrator, roles_held, set_roles
from booking.staff.audit import member, record
from booking.staff.identity import identity_of, provider_of, unlink
from booking.staff.invitations import letter_about, link_of, open_until, send_invitation, void_links, without_letter
from booking.staff.models import EVERYWHERE, Place, Role, Staff
from booking.web.admin import admin
from booking.web.admin.fields import EmailField, line
from booking.web.admin.frame import back_to, matching, saved
from booking.web.forms import Form
from booking.web.guards import require
from booking.web.language import language
from booking.web.pages import MANY, now, options, outside, paged
from booking.web.towns import here, town
from booking.web.typed import TypedForm, not_typed, typed_forms

ADDED = 3  # roles that are added at once, where there are many places
TYPED = ("invite", "second-factor", "unlink")  # steps that end what only the owner can make again
ROLES = {
    Role.CLERK: _l("Clerk: works with the agenda"),
    Role.LEAD: _l("Lead: also messages, calendars and figures"),
    Role.MANAGER: _l(
        "Manager: also hours and closures; in an office its desks, in the municipality all and its services"
    ),
    Role.ADMINISTRATOR: _l("Administrator: also the municipality and its staff"),
}


class RolesField(Field):
    """The roles of an account, by the place where each holds: in the municipality, in an office, at a desk.

    Each place has its field. Where there are many offices, only those with a role have one, and a few more are added
    by choosing them from a list.
    """

    data: dict[Place, Role]

    def rows(self) -> Iterator[tuple[str, str, Role | None, bool]]:
        """Of each place its name in the form, what it is called, the role, and whether it is the whole municipality."""
        for place, name, words in _places():
            if place in (EVERYWHERE, *self.data) or len(here().offices) <= MANY:
                yield name, words, self.data.get(place), place == EVERYWHERE

    def adding(self) -> list[tuple[Markup, str]]:
        """The rows in which one more is chosen: the places, and the role that was chosen there."""
        if len(here().offices) <= MANY:
            return []
        free = [(name, words) for place, name, words in _places() if place not in self.data]
        return [(options((name, words, name == chosen) for name, words in free), role) for chosen, role in self.added]

    def process(self, formdata: Any, data: Any = unset_value, extra_filters: Any = None) -> None:
        super().process(None, data, extra_filters)
        self.data, self.added = dict(self.data or {}), [("", "")] * ADDED
        if formdata is not None:
            rows = [(f"role-add-{n}", f"role-add-{n}-role") for n in range(ADDED)]
            self.added = [(formdata.get(place, ""), formdata.get(role, "")) for place, role in rows]
            chosen = {place: role for place, role in self.added if place}
            typed = {place: chosen.get(name) or formdata.get(name, "") for place, name, _words in _places()}
            self.data = {place: Role(text) for place, text in typed.items() if text in list(Role)}

    def pre_validate(self, form: Any) -> None:
        if any(bool(place) != bool(role) for place, role in self.added):
            raise ValidationError(_l("Choose both where and which role, or neither."))
        if not self.data:
            raise ValidationError(_l("Choose a role, in the municipality, in an office or at a desk."))
        if Role.ADMINISTRATOR in [role for place, role in self.data.items() if place != EVERYWHERE]:
            raise ValidationError(_l("Administrators are of the whole municipality."))


class StaffForm(Form):
    """A member of staff, and what they may do where."""

    name = line(_l("Name"), _l("Enter the name."), 120)
    email = EmailField(_l("E-mail address"), validators=[DataRequired(_l("Enter the e-mail address."))])
    language = SelectField(_l("Language"), choices=[SelectChoice(one, language_name(one)) for one in LANGUAGES])
    roles = RolesField(_l("Roles"))
    by_email = BooleanField(_l("Send the link by e-mail"))


@admin.get("/staff")
def staff() -> ResponseReturnValue:
    """All accounts, or those that answer a search (?q=)."""
    require(Role.ADMINISTRATOR, None)
    rows = db.session.scalars(select(Staff).where(Staff.municipality_id == town().id).order_by(Staff.name)).all()
    found = matching(rows, lambda one: f"{one.name} {one.email}")
    page = paged(found, 50)
    about = {"unsent": without_letter(town().id, now()), "held_by": _held_by}
    return render_template("admin/staff.html", page=page, found=len(found), total=len(rows), **about)


@admin.get("/staff/new")
def staff_new() -> ResponseReturnValue:
    require(Role.ADMINISTRATOR, None)
    return _page(StaffForm(data={"language": town().language, "by_email": True}), None)


@admin.post("/staff/new")
def add_staff() -> ResponseReturnValue:
    """Adds the account and invites its owner to choose a password."""
    author = require(Role.ADMINISTRATOR, None)
    form = StaffForm()
    if _is_taken(form, None) or not form.validate():
        return _page(form, None), 422
    row = invite(town().id, form.email.data or "", form.name.data or "", form.language.data, now())
    set_roles(row, form.roles.data)
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
    return _page(_form_of(row), row)


@admin.post("/staff/<int:id>")
def save_staff(id: int) -> ResponseReturnValue:
    """Changes name, address and roles; from the next click on the new roles hold."""
    row = _account(id)
    form = _form_of(row)
    if _is_taken(form, id) or not form.validate():
        return _page(form, row), 422
    if Role.ADMINISTRATOR not in form.roles.data.values() and is_last_administrator(row):
        form.roles.errors = [_("Somebody must stay administrator. Make another one first.")]
        return _page(form, row), 422
    email = (form.email.data or "").lower()
    if email != row.email:
        void_links(row)
    row.name, row.email, row.language = form.name.data or "", email, form.language.data
    before = roles_held(row)
    set_roles(row, form.roles.data)
    words, details = _("The account is saved."), {"before": before, "after": roles_held(row)}
    return saved(("staff", id), "change_staff", words, back_to("staff_one", id=id), **details)


@admin.post("/staff/<int:id>/invite")
def invite_again(id: int) -> ResponseReturnValue:
    """A new link to choose a password; the old password, older links and all sessions of the account end."""
    row = _account(id)
    if is_last_administrator(row):
        abort(409)
    if refused := not_typed(row.name, "invite"):
        return _refusal(row, refused), 422
    row.password_hash = NOT_CHOSEN
    row.generation += 1
    row.invited_at, row.asked_at = now(), None
    return saved(("staff", id), "invite", _("There is a new link; the old one is void."), back_to("staff_one", id=id))


@admin.post("/staff/send")
def send_links() -> ResponseReturnValue:
    """Sends the invitations that have never been sent, each to its owner."""
    author = require(Role.ADMINISTRATOR, None)
    found = without_letter(town().id, now())
    for row in found:
        send_invitation(row, now())
    words = ngettext("%(num)s invitation is on its way.", "%(num)s invitations are on their way.", len(found))
    return saved(("staff", author.id), "send_invitations", words, back_to("staff"), to=[row.id for row in found])


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
    if refused := not_typed(row.name, "second-factor"):
        return _refusal(row, refused), 422
    row.has_totp, row.totp_generation, row.totp_step = False, row.totp_generation + 1, None
    row.generation += 1
    words = _("The second factor is off; the owner can set it up anew.")
    return saved(("staff", id), "forget_second_factor", words, back_to("staff_one", id=id))


@admin.post("/staff/<int:id>/unlink")
def forget_identity(id: int) -> ResponseReturnValue:
    """Takes off who the account is at the town's provider: its next sign-in there links it anew."""
    row = _account(id)
    if refused := not_typed(row.name, "unlink"):
        return _refusal(row, refused), 422
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


def _places() -> Iterator[tuple[Place, str, str]]:
    """Each place in which a role can hold, its name in the form, and what it is called."""
    yield EVERYWHERE, "role-all", _("The whole municipality, also what is still to come")
    for office in here().offices.values():
        name = office.name(language())
        yield Place(office_id=office.id), f"role-office-{office.id}", _("%(office)s, all desks", office=name)
        for desk in office.desks:
            yield Place(desk.id), f"role-desk-{desk.id}", f"{desk.name(language())}, {name}"


def _held_by(row: Staff) -> list[str]:
    """The roles of the account in words, each with the place where it holds."""
    named = Counter(desk.name(language()) for desk in here().desks)
    desks = {desk.id: desk.name(language()) for desk in here().desks}
    for desk in here().desks:
        if named[desks[desk.id]] > 1:  # desks of several offices may have the same name
            desks[desk.id] += f", {desk.office.name(language())}"
    offices = {office.id: office.name(language()) for office in here().offices.values()}
    where = [desks.get(held.desk_id or 0, "") or offices.get(held.office_id or 0, "") for held in row.roles]
    names = [str(ROLES[held.role]).partition(":")[0] for held in row.roles]
    return [f"{name} ({place})" if place else name for name, place in zip(names, where, strict=True)]


def _form_of(row: Staff, **options: Any) -> StaffForm:
    held = {one.place: one.role for one in row.roles}
    return StaffForm(data={"name": row.name, "email": row.email, "language": row.language, "roles": held}, **options)


def _refusal(row: Staff, refused: TypedForm) -> str:
    """The page of the account as it stands, with what to type for the step that was not taken."""
    return _page(_form_of(row, formdata=None), row, refused)


def _page(form: StaffForm, row: Staff | None, refused: TypedForm | None = None) -> str:
    is_invited = row is not None and open_link_until(row) is not None
    link = join_address(row) if row is not None and is_invited else ""
    sent = letter_about(row) if row is not None and is_invited else None
    provider = provider_of(town().id) if row is not None and identity_of(row) else None
    return render_template(
        "admin/account.html",
        form=form,
        row=row,
        names=ROLES,
        link=link,
        sent=sent,
        provider=provider,
        steps=typed_forms(row.name, TYPED, refused) if row is not None else {},
        problems=refused,
        is_alone=row is not None and administers_alone(row),
    )
