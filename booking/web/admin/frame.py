"""What all administration pages share: their sections, the way back after saving, and who may see what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from flask_login import current_user

from booking.db import db
from booking.staff.audit import member, record
from booking.staff.models import Role, Staff
from booking.townhall.former import changes_to_save
from booking.townhall.models import Office
from booking.townhall.spelling import words_in
from booking.web.admin import admin
from booking.web.guards import current_staff, may, may_in
from booking.web.pages import now
from booking.web.towns import here

T = TypeVar("T")


@dataclass(frozen=True)
class Section:
    """A part of the administration: where it begins, what it is called, what it is for, and whose it is.

    `role` in the municipality opens it; `one_desk` and `one_office` say that the role at one of them is enough.
    """

    endpoint: str
    name: Any
    purpose: Any
    role: Role = Role.MANAGER
    one_desk: bool = False
    one_office: bool = False

    def is_open_to(self, staff: Staff) -> bool:
        return self.one_desk or may(staff, self.role, None) or (self.one_office and bool(managed_offices(staff)))


SECTIONS = (
    Section("admin.town", _l("Municipality"), _l("Name, languages, rules and limits, reminders"), Role.ADMINISTRATOR),
    Section(
        "admin.offices",
        _l("Offices and desks"),
        _l("Addresses, access, desks, counters and who does what"),
        one_office=True,
    ),
    Section("admin.hours", _l("Opening hours"), _l("The week of each counter, from a day to a day"), one_desk=True),
    Section("admin.closures", _l("Closures"), _l("Days and hours off, public holidays"), one_desk=True),
    Section("admin.changes", _l("Changes"), _l("What changes of hours did, to undo them in time"), one_desk=True),
    Section("admin.why", _l("Why not?"), _l("Why a time is offered to citizens, or not"), one_desk=True),
    Section("admin.staff", _l("Staff and roles"), _l("Who works here, and what they may do"), Role.ADMINISTRATOR),
    Section("admin.sign_in", _l("Sign-in"), _l("With the town's own sign-in, or with passwords"), Role.ADMINISTRATOR),
    Section("admin.services", _l("Services"), _l("What citizens come for, in every language, with a preview")),
    Section(
        "admin.exchange", _l("Import and export"), _l("Services from a file, everything as files"), Role.ADMINISTRATOR
    ),
)


@admin.context_processor
def _frame() -> dict[str, Any]:
    """What the frame shows; a page that refuses somebody, perhaps before it knows the town, has no frame."""
    if g.get("town") is None or not current_user.is_authenticated:
        return {}
    sections = [section for section in SECTIONS if section.is_open_to(current_staff())]
    current = next((one for one in sections if _is_in(one)), None)
    return {"sections": sections, "section": current}


def _is_in(section: Section) -> bool:
    """Whether this page is one of the section's; a form with a mistake is, too."""
    own = url_for(section.endpoint).removeprefix(request.script_root)
    return (request.endpoint or "").startswith(section.endpoint) or request.path.startswith(own)


def section_of(name: str) -> Section:
    """The section of this name, for pages whose own name does not say to which they belong."""
    return next(one for one in SECTIONS if one.endpoint == f"admin.{name}")


@admin.get("/")
def start() -> ResponseReturnValue:
    """The sections, each with what it is for."""
    return render_template("admin/start.html")


def managed_offices(staff: Staff) -> Sequence[Office]:
    """The offices that the member of staff manages as a whole."""
    offices = list(here().offices.values())
    if may(staff, Role.MANAGER, None):
        return offices
    return [office for office in offices if may_in(staff, Role.MANAGER, office.id)]


def matching(things: Iterable[T], words_of: Callable[[T], str]) -> Sequence[T]:
    """Those that hold all words of the search (?q=), whatever their accents and case."""
    wanted = words_in(request.args.get("q", "")[:200])
    return [thing for thing in things if all(word in " ".join(words_in(words_of(thing))) for word in wanted)]


def saved(object: tuple[str, int], action: str, words: str, address: str, **details: Any) -> ResponseReturnValue:
    """Writes the audit line, commits, and leads to the address, where the words are said.

    What was there before is kept with the line; the page at the address has a button that puts it back.
    """
    changes = changes_to_save()
    kept = {"changes": changes, "address": address} if changes else {}
    record(member(current_staff()), action, object, now(), **details, **kept)
    db.session.commit()
    flash(words)
    if changes:
        flash(url_for("admin.undo_saving", kind=object[0], id=object[1]), "undo")
    return redirect(address, 303)


def back_to(endpoint: str, anchor: str | None = None, **values: Any) -> str:
    return url_for(f"admin.{endpoint}", _anchor=anchor, **values)
