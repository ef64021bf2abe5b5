"""Offices, desks and counters as files: a line each. None is removed by a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, func, insert, select, tuple_

from booking.db import db
from booking.exchange.files import (
    Difference,
    Kind,
    Line,
    Part,
    Run,
    Text,
    a_phone,
    a_text,
    an_email,
    by_language,
    or_nothing,
    read_lines,
    spread,
)
from booking.exchange.places import Places, places_of
from booking.slots.clock import DAY_MINUTES
from booking.spoken import wall_clock
from booking.townhall.directory import ACCESS
from booking.townhall.models import Counter, CounterService, Desk, Municipality, Office, Service
from booking.townhall.sheets import SheetError, _, a_key, differences, keys, listed, one_of, whole

STEPS, BUFFERS = ("5", "10", "15", "20", "30", "60"), ("0", "5", "10", "15", "20", "30")
MOST_WAVES = 4


class Wave(NamedTuple):
    """A part of the hours that is released to citizens: "60 28 08:00"."""

    percent: int
    days: int
    at: int

    def __str__(self) -> str:
        return f"{self.percent} {self.days} {wall_clock(self.at)}"


def a_clock(text: str) -> int:
    """Reads a time of the day in steps of five minutes, as minutes after midnight; 24:00 is its end."""
    hours, _colon, rest = text.partition(":")
    minutes, _colon, seconds = rest.partition(":")
    digits = (hours, minutes or "0", seconds or "0")
    if all(one.isascii() and one.isdigit() and len(one) < 3 for one in digits):
        found = int(hours) * 60 + int(digits[1])
        if found <= DAY_MINUTES and int(digits[1]) < 60 and found % 5 == 0 and int(digits[2]) == 0:
            return found
    raise ValueError(_("it must be a time in steps of five minutes, like 09:00."))


def waves(text: str) -> list[Wave]:
    """Reads what is released when: percent, days ahead, time; semicolons between."""
    found = []
    for part in listed(text):
        words = part.split()
        if len(words) != 3 or not all(one.isascii() and one.isdigit() and len(one) < 4 for one in words[:2]):
            raise ValueError(_("it must be percents, days ahead and a time, like 60 28 08:00; 40 1 08:00."))
        found.append(Wave(int(words[0]), int(words[1]), a_clock(words[2])))
    percents = [wave.percent for wave in found]
    if len(found) > MOST_WAVES or sum(percents) > 100 or 0 in percents or any(wave.days > 400 for wave in found):
        raise ValueError(_("it must be percents, days ahead and a time, like 60 28 08:00; 40 1 08:00."))
    return found


class Share(NamedTuple):
    """How many of a hundred who are called in an hour came without an appointment: "9 30"."""

    hour: int
    percent: int

    def __str__(self) -> str:
        return f"{self.hour} {self.percent}"


def shares(text: str) -> list[Share]:
    """Reads the share of walk-ins of each hour; semicolons between."""
    found = []
    for part in listed(text):
        words = part.split()
        if len(words) != 2 or not all(one.isascii() and one.isdigit() and len(one) < 4 for one in words):
            raise ValueError(_("it must be hours and percents, like 9 30; 10 20."))
        found.append(Share(int(words[0]), int(words[1])))
    hours = [share.hour for share in found]
    if len(set(hours)) < len(hours) or any(one.hour > 23 or not 1 <= one.percent <= 100 for one in found):
        raise ValueError(_("it must be hours and percents, like 9 30; 10 20."))
    return sorted(found)


def _helps(text: str) -> list[str]:
    wanted = [one_of(*ACCESS)(one) for one in listed(text)]
    return [one for one in ACCESS if one in wanted]


OFFICES = Kind(
    key=("office",),
    columns={
        "office": a_text(80),
        "address": a_text(200),
        "access": _helps,
        "phone": or_nothing(a_phone),
        "email": or_nothing(an_email),
        "day_list_email": or_nothing(an_email),
        "walk_minutes": whole(0, 60),
        "position": whole(1, 1000),
    },
    texts={"name": Text(80, needed=True), "directions": Text(600)},
    may_be=frozenset({"position", "day_list_email", "walk_minutes"}),
)
DESKS = Kind(
    key=("office", "desk"),
    columns={
        "office": a_text(80),
        "desk": a_key,
        "email": an_email,
        "step_minutes": lambda text: int(one_of(*STEPS)(text)),
        "buffer_minutes": lambda text: int(one_of(*BUFFERS)(text)),
        "grace_minutes": whole(0, 120),
        "releases": waves,
        "walk_ins": shares,
        "crowd_size": whole(0, 10_000),
        "position": whole(1, 1000),
    },
    texts={"name": Text(80, needed=True)},
    may_be=frozenset({"position", "grace_minutes", "releases", "walk_ins", "crowd_size"}),
)
COUNTERS = Kind(
    key=("office", "desk", "counter"),
    columns={"office": a_text(80), "desk": a_key, "counter": whole(1, 99_999), "services": keys},
    may_be=frozenset({"services"}),
)


def _read_offices(content: bytes, places: Places) -> list[Line]:
    town = places.municipality
    lines = read_lines(OFFICES, content, town.languages, town.language)
    for line in lines:
        places.offices.setdefault(line.values["office"], None)
    return lines


def _read_desks(content: bytes, places: Places) -> list[Line]:
    town = places.municipality
    lines = read_lines(DESKS, content, town.languages, town.language)
    unknown = [line for line in lines if line.values["office"] not in places.offices]
    if unknown:
        names = [(line, (line.values["office"], line.values["desk"])) for line in unknown]
        raise SheetError([line.problem(places.desk_problem(name) or "") for line, name in names])
    for line in lines:
        places.desks.setdefault((line.values["office"], line.values["desk"]), None)
    return lines


def _read_counters(content: bytes, places: Places) -> list[Line]:
    town = places.municipality
    lines = read_lines(COUNTERS, content, town.languages, town.language)
    problems = []
    for line in lines:
        found = places.desk_problem((line.values["office"], line.values["desk"]))
        problems += [line.problem(found)] if found else []
        strange = [key for key in line.values.get("services", ()) if key not in places.services]
        problems += [
            line.problem(_("there is no service %(key)s; correct it, or import it first.", key=repr(key)))
            for key in strange
        ]
    if problems:
        raise SheetError(problems)
    for line in lines:
        places.counters.setdefault(_counter(line), None)
    return lines


def _counter(line: Line) -> tuple[str, str, int]:
    return line.values["office"], line.values["desk"], line.values["counter"]


def _carry_offices(run: Run, lines: Sequence[Line]) -> Iterator[Difference | None]:
    town = run.municipality
    for line in lines:
        office = run.places.offices[line.values["office"]]
        changes = [] if office is None else differences(_office(line.values["office"], office, town), line.values)
        if office is not None and not changes:
            yield None
            continue
        row = office or Office(municipality_id=town.id, activity_at=run.now, names={}, directions={})
        _save_office(row, line.values, len(run.places.offices))
        db.session.add(row)
        run.places.offices[line.values["office"]] = row
        yield Difference(line.name, changes)
    db.session.flush()


def _save_office(office: Office, values: Mapping[str, Any], last: int) -> None:
    office.names = by_language(values, "name", office.names)
    office.directions = by_language(values, "directions", office.directions)
    for name in ("address", "access", "phone", "email", "day_list_email", "walk_minutes"):
        if name in values:
            setattr(office, name, values[name])
    office.position = values.get("position") or office.position or last


def _office(name: str, office: Office, town: Municipality) -> dict[str, Any]:
    plain = {column: getattr(office, column) for column in OFFICES.columns if column != "office"}
    texts = {"name": office.names, "directions": office.directions}
    said = [spread(column, text, town.languages) for column, text in texts.items()]
    return {"office": name, **plain, **said[0], **said[1]}


def _carry_desks(run: Run, lines: Sequence[Line]) -> Iterator[Difference | None]:
    for line in lines:
        place = (line.values["office"], line.values["desk"])
        desk, office = run.places.desks[place], run.places.offices[place[0]]
        changes = [] if desk is None else differences(_desk(desk, place[0], run.municipality), line.values)
        if desk is not None and not changes:
            yield None
            continue
        row = desk or Desk(office=office, key=place[1], names={})
        _save_desk(row, line.values, sum(name == place[0] for name, _key in run.places.desks))
        db.session.add(row)
        run.places.desks[place] = row
        yield Difference(line.name, changes)
    db.session.flush()


def _save_desk(desk: Desk, values: Mapping[str, Any], last: int) -> None:
    desk.names = by_language(values, "name", desk.names)
    for name in ("email", "step_minutes", "buffer_minutes", "grace_minutes", "crowd_size"):
        if name in values:
            setattr(desk, name, values[name])
    if "releases" in values:
        desk.releases = [wave._asdict() for wave in values["releases"]]
    if "walk_ins" in values:
        desk.walk_in_percents = {str(share.hour): share.percent for share in values["walk_ins"]}
    desk.position = values.get("position") or desk.position or last


def _desk(desk: Desk, office: str, town: Municipality) -> dict[str, Any]:
    apart = ("office", "desk", "releases", "walk_ins")
    plain = {name: getattr(desk, name) for name in DESKS.columns if name not in apart}
    releases = [Wave(row["percent"], row["days"], row["at"]) for row in desk.releases]
    texts = spread("name", desk.names, town.languages)
    walk_ins = sorted(Share(int(hour), percent) for hour, percent in desk.walk_in_percents.items())
    return {"office": office, "desk": desk.key, "releases": releases, "walk_ins": walk_ins, **plain, **texts}


def _carry_counters(run: Run, lines: Sequence[Line]) -> Iterator[Difference | None]:
    """New counters do what the file says, or else what the desk's counters do together."""
    places = run.places
    new = [line for line in lines if places.counters[_counter(line)] is None]
    usual = _usual(run)
    _add_counters(places, new)
    does, wanted = _doing(run.municipality), dict[int, set[str]]()
    added = {line.number for line in new}
    for line in lines:
        id = places.counters[_counter(line)] or 0
        present = does.get(id, set())
        said = line.values.get("services", usual[_counter(line)[:2]] if line.number in added else present)
        wanted[id] = set(said)
        changes = differences({"services": sorted(present)}, {"services": sorted(said)})
        is_new = line.number in added
        yield Difference(line.name, [] if is_new else changes) if is_new or changes else None
    _set_doing(places, {id: keys for id, keys in wanted.items() if keys != does.get(id, set())}, does)


def _usual(run: Run) -> dict[tuple[str, str], set[str]]:
    """For each desk what its counters do together; where there is none, the services that name it."""
    rows = select(CounterService.service_id, Counter.desk_id).join(Counter, Counter.id == CounterService.counter_id)
    desks = [desk for desk in run.places.desks.values() if desk is not None]
    rows = rows.where(Counter.desk_id.in_([desk.id for desk in desks])).distinct()
    called = {id: key for key, id in run.places.services.items()}
    together: dict[int, set[str]] = {desk.id: set() for desk in desks}
    for service_id, desk_id in db.session.execute(rows):
        together[desk_id].add(called[service_id])
    named: dict[str, set[str]] = {}
    services = select(Service.key, Service.desk_key).where(Service.municipality_id == run.municipality.id)
    for key, desk_key in db.session.execute(services):
        named.setdefault(desk_key, set()).add(key)
    empty = select(Desk.id).outerjoin(Counter).group_by(Desk.id).having(func.count(Counter.id) == 0)
    without = set(db.session.scalars(empty))
    return {
        place: named.get(place[1], set()) if desk.id in without else together[desk.id]
        for place, desk in run.places.desks.items()
        if desk is not None
    }


def _add_counters(places: Places, lines: Sequence[Line]) -> None:
    desk_ids = {place: desk.id for place, desk in places.desks.items() if desk is not None}
    rows = [{"desk_id": desk_ids[_counter(line)[:2]], "number": line.values["counter"]} for line in lines]
    if rows:
        inserted = insert(Counter).returning(Counter.id, sort_by_parameter_order=True)
        ids = db.session.scalars(inserted, rows).all()
        places.counters.update({_counter(line): id for line, id in zip(lines, ids, strict=True)})


def _doing(town: Municipality) -> dict[int, set[str]]:
    """For each counter the keys of the services that it does."""
    rows = select(CounterService.counter_id, Service.key).join(Service, Service.id == CounterService.service_id)
    found: dict[int, set[str]] = {}
    for id, key in db.session.execute(rows.where(Service.municipality_id == town.id)):
        found.setdefault(id, set()).add(key)
    return found


def _set_doing(places: Places, wanted: Mapping[int, set[str]], present: Mapping[int, set[str]]) -> None:
    gone = [(id, places.services[key]) for id, keys in wanted.items() for key in present.get(id, set()) - keys]
    come = [(id, places.services[key]) for id, keys in wanted.items() for key in keys - present.get(id, set())]
    for n in range(0, len(gone), 400):
        pairs = tuple_(CounterService.counter_id, CounterService.service_id).in_(gone[n : n + 400])
        db.session.execute(delete(CounterService).where(pairs), execution_options={"synchronize_session": False})
    if come:
        rows = [{"counter_id": counter_id, "service_id": service_id} for counter_id, service_id in sorted(come)]
        db.session.execute(insert(CounterService), rows)


def _written_offices(town: Municipality) -> str:
    offices = [(name, one) for name, one in places_of(town).offices.items() if one is not None]
    return OFFICES.written(town.languages, [_office(name, office, town) for name, office in offices])


def _written_desks(town: Municipality) -> str:
    desks = [(place[0], desk) for place, desk in places_of(town).desks.items() if desk is not None]
    return DESKS.written(town.languages, [_desk(desk, office, town) for office, desk in desks])


def _written_counters(town: Municipality) -> str:
    does = _doing(town)
    rows = [
        {"office": office, "desk": desk, "counter": number, "services": sorted(does.get(id or 0, ()))}
        for (office, desk, number), id in places_of(town).counters.items()
    ]
    return COUNTERS.written(town.languages, rows)


PARTS = (
    Part("offices", _l("Offices"), OFFICES.key, OFFICES.header, _read_offices, _carry_offices, _written_offices),
    Part("desks", _l("Desks"), DESKS.key, DESKS.header, _read_desks, _carry_desks, _written_desks),
    Part("counters", _l("Counters"), COUNTERS.key, COUNTERS.header, _read_counters, _carry_counters, _written_counters),
)
