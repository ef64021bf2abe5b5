"""Staff as a file: a line for each account with its role. Passwords, second factors and links never stand in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from booking.config import LANGUAGES
from booking.db import db
from booking.exchange.files import Difference, Kind, Line, Part, Run, a_text, an_email, read_lines
from booking.exchange.places import DeskName, Places, places_of
from booking.staff.accounts import NOT_CHOSEN, invite, set_roles
from booking.staff.audit import record
from booking.staff.models import Role, Staff
from booking.townhall.models import Municipality
from booking.townhall.sheets import SheetError, _, differences, listed, one_of, yes

ALL, NONE = "all", "none"  # instead of desks: also those to come; none at all

STAFF = Kind(
    key=("email",),
    columns={
        "email": lambda text: an_email(text.lower()),
        "name": a_text(120),
        "language": one_of(*LANGUAGES),
        "role": one_of(*Role),
        "desks": lambda text: sorted(set(listed(text))),
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
    desks, is_administrator = line.values["desks"], line.values["role"] == Role.ADMINISTRATOR
    if not desks:
        return _("desks is empty; write all, or desks like %(example)s.", example=_example(places))
    if is_administrator and desks != [ALL]:
        return _("an administrator has all desks: write all, or another role.")
    if desks in ([ALL], [NONE]):
        return None
    strange = [one for one in desks if _desk(one) not in places.desks]
    if strange:
        words = {"name": repr(strange[0]), "example": _example(places)}
        return _("there is no desk %(name)s; write all, or desks like %(example)s.", **words)
    return None


def _desk(text: str) -> DeskName:
    office, _slash, key = text.rpartition("/")
    return office.strip(), key.strip()


def _named(place: DeskName) -> str:
    return f"{place[0]}/{place[1]}"


def _example(places: Places) -> str:
    return "; ".join(_named(place) for place in list(places.desks)[:2]) or "Town hall/civil"


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
    record(run.actor, "invite", ("staff", row.id), run.now)
    return row


def _save(run: Run, row: Staff, line: Line) -> None:
    """Another role holds from the next click on; who is shut out loses every session."""
    values = line.values
    row.name, row.language = values["name"], values["language"]
    before, present = _held(row), _account(row, _names(run.places))
    if (present["role"], present["desks"]) != (values["role"], values["desks"]):
        _set_roles(run, row, line)
    if values.get("active", row.is_active) != row.is_active:
        row.is_active = values["active"]
        row.generation += 1
    record(run.actor, "change_staff", ("staff", row.id), run.now, before=before, after=_held(row))


def _set_roles(run: Run, row: Staff, line: Line) -> None:
    names = line.values["desks"]
    desks = [run.places.desks[_desk(one)] for one in names if one not in (ALL, NONE)]
    if names == [NONE]:
        row.roles.clear()
    else:
        set_roles(row, Role(line.values["role"]), [desk.id for desk in desks if desk is not None])


def _held(row: Staff) -> list[tuple[str, int | None]]:
    """Role and desk (None: all), as an audit line keeps them."""
    return [(held.role.value, held.desk_id) for held in row.roles]


def _names(places: Places) -> dict[int, str]:
    return {desk.id: _named(place) for place, desk in places.desks.items() if desk is not None}


def _account(row: Staff, names: dict[int, str]) -> dict[str, Any]:
    """The account as a line has it."""
    desks = {ALL if held.desk_id is None else names.get(held.desk_id, "") for held in row.roles}
    return {
        "email": row.email,
        "name": row.name,
        "language": row.language,
        "role": row.roles[0].role.value if row.roles else Role.CLERK.value,
        "desks": sorted(desks) or [NONE],
        "active": row.is_active,
    }


def _written(town: Municipality) -> str:
    names = _names(places_of(town))
    rows = db.session.scalars(select(Staff).where(Staff.municipality_id == town.id).order_by(Staff.id)).all()
    return STAFF.written(town.languages, [_account(row, names) for row in rows])


PART = Part("staff", _l("Staff and roles"), STAFF.header, _read, _carry, _written)
