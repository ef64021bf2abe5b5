"""Staff as a file: a line for each account with its roles. Passwords, second factors and links never stand in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from booking.config import LANGUAGES
from booking.db import db
from booking.exchange.files import Difference, Kind, Line, Part, Run, a_text, an_email, read_lines
from booking.exchange.places import DeskName, Places, places_of
from booking.staff.accounts import NOT_CHOSEN, invite, roles_held, set_roles
from booking.staff.audit import record
from booking.staff.invitations import send_invitation
from booking.staff.models import EVERYWHERE, Place, Role, Staff
from booking.townhall.models import Municipality
from booking.townhall.sheets import SheetError, _, differences, listed, one_of, yes

ALL, NONE = "all", "none"  # the whole municipality, instead of an office or a desk; no role at all


def _held(text: str) -> tuple[Role, str]:
    """Reads a role and its place: "lead Town hall/civil", "clerk Town hall", "administrator all"."""
    role, _space, place = text.partition(" ")
    if role not in list(Role) or not place.strip():
        raise ValueError(
            _("it must be roles (%(roles)s), each with a place: all, an office, or office/desk.", roles=", ".join(Role))
        )
    return Role(role), place.strip()


def _roles(text: str) -> list[str]:
    parts = sorted(set(listed(text)))
    return parts if parts == [NONE] else [f"{role} {place}" for role, place in map(_held, parts)]


STAFF = Kind(
    key=("email",),
    columns={
        "email": lambda text: an_email(text.lower()),
        "name": a_text(120),
        "language": one_of(*LANGUAGES),
        "roles": _roles,
        "active": yes,
    },
    may_be=frozenset({"active"}),
)


def _read(content: bytes, places: Places) -> list[Line]:
    town = places.municipality
    lines = read_lines(STAFF, content, town.languages, town.language)
    problems = [line.problem(found) for line in lines if (found := _problem(line, places))]
    if problems:
        raise SheetError(problems)
    return lines


def _problem(line: Line, places: Places) -> str | None:
    roles = line.values["roles"]
    if not roles:
        return _("roles is empty; write none, or roles like %(example)s.", example=_example(places))
    if roles == [NONE]:
        return None
    held = [_held(one) for one in roles]
    if len({place for _role, place in held}) < len(held):
        return _("there are two roles for one place; write one.")
    if any(role == Role.ADMINISTRATOR and place != ALL for role, place in held):
        return _("an administrator is of the whole municipality: write administrator all.")
    strange = [place for _role, place in held if not _is_known(place, places)]
    if strange:
        words = {"name": repr(strange[0]), "example": _example(places)}
        return _("there is no office or desk %(name)s; write all, an office, or roles like %(example)s.", **words)
    return None


def _is_known(place: str, places: Places) -> bool:
    return place == ALL or place in places.offices or _desk(place) in places.desks


def _desk(text: str) -> DeskName:
    office, _slash, key = text.rpartition("/")
    return office.strip(), key.strip()


def _named(place: DeskName) -> str:
    return f"{place[0]}/{place[1]}"


def _example(places: Places) -> str:
    desk = next(map(_named, places.desks), "Town hall/civil")
    return f"clerk {desk}; lead {desk.rpartition('/')[0]}"


def _carry(run: Run, lines: Sequence[Line]) -> Iterator[Difference | None]:
    """Adds and changes accounts; who is new gets a link to choose a password. Raises SheetError."""
    query = select(Staff).where(Staff.municipality_id == run.municipality.id)
    known = {row.email: row for row in db.session.scalars(query)}
    had_one = _has_administrator(known.values())
    names = _names(run.places)
    for line in lines:
        row = known.get(line.values["email"])
        if row is None:
            row = known[line.values["email"]] = _add(run, line)
            yield Difference(line.name)
        elif changes := differences(_account(row, names), line.values):
            _save(run, row, line)
            yield Difference(line.name, changes)
        else:
            yield None
    if had_one and not _has_administrator(known.values()):
        raise SheetError([_("Somebody must stay administrator. Make another one first.")])


def _has_administrator(rows: Any) -> bool:
    """Whether anybody is left who could let others in."""
    return any(
        row.is_active and row.password_hash != NOT_CHOSEN and any(held.role == Role.ADMINISTRATOR for held in row.roles)
        for row in rows
    )


def _add(run: Run, line: Line) -> Staff:
    values = line.values
    row = invite(run.municipality.id, values["email"], values["name"], values["language"], run.now)
    _set_roles(run, row, line)
    row.is_active = values.get("active", True)
    if row.is_active:
        send_invitation(row, run.now)
    record(run.actor, "invite", ("staff", row.id), run.now)
    return row


def _save(run: Run, row: Staff, line: Line) -> None:
    """Other roles hold from the next click on; who is shut out loses every session."""
    values = line.values
    row.name, row.language = values["name"], values["language"]
    before = roles_held(row)
    if _account(row, _names(run.places))["roles"] != values["roles"]:
        _set_roles(run, row, line)
    if values.get("active", row.is_active) != row.is_active:
        row.is_active = values["active"]
        row.generation += 1
    record(run.actor, "change_staff", ("staff", row.id), run.now, before=before, after=roles_held(row))


def _set_roles(run: Run, row: Staff, line: Line) -> None:
    """In a dry run an office or a desk may not be there yet: then nothing can be tied to it."""
    held = [] if line.values["roles"] == [NONE] else map(_held, line.values["roles"])
    found = {place: role for role, name in held if (place := _place(name, run.places)) is not None}
    set_roles(row, found)


def _place(name: str, places: Places) -> Place | None:
    if name == ALL:
        return EVERYWHERE
    office = places.offices.get(name)
    if office is not None:
        return Place(office_id=office.id)
    desk = places.desks.get(_desk(name))
    return Place(desk.id) if desk is not None else None


def _names(places: Places) -> dict[Place, str]:
    """What files call each place."""
    offices = {Place(office_id=office.id): name for name, office in places.offices.items() if office is not None}
    desks = {Place(desk.id): _named(name) for name, desk in places.desks.items() if desk is not None}
    return {EVERYWHERE: ALL, **offices, **desks}


def _account(row: Staff, names: dict[Place, str]) -> dict[str, Any]:
    """The account as a line has it."""
    return {
        "email": row.email,
        "name": row.name,
        "language": row.language,
        "roles": sorted(f"{held.role} {names.get(held.place, '')}" for held in row.roles) or [NONE],
        "active": row.is_active,
    }


def _written(town: Municipality) -> str:
    names = _names(places_of(town))
    rows = db.session.scalars(select(Staff).where(Staff.municipality_id == town.id).order_by(Staff.id)).all()
    return STAFF.written(town.languages, [_account(row, names) for row in rows])


PART = Part("staff", _l("Staff and roles"), STAFF.key, STAFF.header, _read, _carry, _written)
