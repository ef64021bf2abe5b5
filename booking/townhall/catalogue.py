"""The catalogue of services as a CSV file: checked row by row, then imported whole or not at all.

Columns: key, desk, minutes, extra_person_minutes, max_people, in_person, walk_in, online, sensitive, fee_eur (empty
where the council sets it), min_notice_hours, max_days_ahead; then name, summary, who, bring and words, each once a
language (name_nl, name_fr …), bring and words separated by semicolons; and source, which is not read. Where wanted:
online_url, and the questions before a visit in each language (questions_nl …), as questions.py describes them.

Columns that may be left out, and then change nothing: combines (a word; services that share it can be dealt with in
one appointment, empty for one that is dealt with alone), after (the keys of services and desks, separated by
semicolons, that come first when several desks are seen in one visit), move_hours and cancel_hours (how many hours
before it begins a citizen can move an appointment, or cancel it, for the last time), reminders (of its own, see
reminding.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from graphlib import CycleError, TopologicalSorter
from itertools import zip_longest
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import insert, select

from booking.db import db
from booking.townhall import reminding
from booking.townhall.models import Counter, CounterService, Desk, Municipality, Office, Service, ServiceText
from booking.townhall.questions import is_address, question_problems
from booking.townhall.revisions import raise_town
from booking.townhall.sheets import (
    SheetError,
    a_key,
    as_meant,
    cell_problem,
    column_problems,
    differences,
    keys,
    lines_of,
    one_of,
    problem,
    sheet,
    uneven,
    whole,
    yes,
)

TEXTS = ("name", "summary", "who", "bring", "words")
LISTS = ("bring", "words")
OPTIONAL_TEXTS = ("questions",)  # may be missing; see questions.py
IGNORED = frozenset({"source"})
NAME_LENGTH = 160  # what the table holds


@dataclass(frozen=True)
class Outcome:
    """How many services the import added, changed and found as they were."""

    added: int
    changed: int
    unchanged: int


@dataclass(frozen=True)
class Row:
    """One checked service: the values of its columns, and its texts by language."""

    line: int
    values: dict[str, Any]
    texts: dict[str, dict[str, Any]]


Progress = Callable[[list[Row]], Iterable[Row]]


def import_catalogue(municipality: Municipality, content: bytes, now: datetime, progress: Progress = iter) -> Outcome:
    """Adds and updates the services of the file; none is deleted. Raises SheetError. Flushes.

    A new service is served by all counters of the desks it names. `progress` hands the rows on, one by one.
    """
    rows = read_catalogue(content, municipality.languages, _desk_keys(municipality))
    raise_town(municipality, now)
    found = [changes for _key, changes in carry_in(municipality, progress(rows))]
    unchanged, added = found.count(None), found.count([])
    return Outcome(added, len(found) - added - unchanged, unchanged)


def carry_in(municipality: Municipality, rows: Iterable[Row]) -> Iterator[tuple[str, list[str] | None]]:
    """Adds and updates the services, one by one: the key of each, and what changed of it in words.

    Nothing in the list: it is new; no list: it is as it was. The caller has raised the municipality. Flushes.
    """
    query = select(Service).where(Service.municipality_id == municipality.id)
    known = {service.key: service for service in db.session.scalars(query)}
    new = []
    for row in rows:
        service = known.get(row.values["key"])
        if service is None:
            new.append(_new(municipality, row))
        yield row.values["key"], [] if service is None else _update(service, row) or None
    db.session.add_all(new)
    db.session.flush()
    _serve(municipality, new)


def header(languages: Sequence[str]) -> list[str]:
    """The columns of the file."""
    names = (*TEXTS, *OPTIONAL_TEXTS)
    return [*_COLUMNS, *_OPTIONAL, *(f"{name}_{language}" for name in names for language in languages)]


def read_catalogue(content: bytes, languages: Sequence[str], desk_keys: Sequence[str]) -> list[Row]:
    """The checked rows of the file. Raises SheetError with every problem that was found."""
    (_line, columns), *lines = lines_of(content)
    wanted = [*_COLUMNS, *(f"{text}_{language}" for text in TEXTS for language in languages)]
    problems = column_problems(columns, wanted, lambda name: name in _OPTIONAL or _is_ignored(name))
    if not lines and not problems:
        problems = [_("The file has a header but no services; nothing was imported.")]
    if problems:
        raise SheetError(problems)
    rows = [_row(number, dict(zip_longest(columns, cells)), languages, desk_keys, problems) for number, cells in lines]
    problems += _duplicates(rows)
    problems += [*_unknown(rows, desk_keys), *_unanswerable(rows)] if not problems else []
    if problems:
        raise SheetError(problems)
    return rows


def _is_ignored(name: str) -> bool:
    """Columns that need not be read: the source, questions, and texts in languages that are not switched on."""
    text, _, language = name.partition("_")
    return name in IGNORED or (text in (*TEXTS, *OPTIONAL_TEXTS) and len(language) == 2 and language.isalpha())


def _row(
    number: int, line: dict[str, Any], languages: Sequence[str], desk_keys: Sequence[str], problems: list[str]
) -> Row:
    """The row's values; what is wrong with it is added to `problems`."""

    def wrong(reason: object) -> None:
        problems.append(problem(number, line.get("key") or "", reason))

    line = {column: as_meant(cell) if isinstance(cell, str) else cell for column, cell in line.items()}
    values: dict[str, Any] = {}
    if None in line or None in line.values():
        wrong(uneven())
        return Row(number, {"key": line.get("key")}, {})
    for column, (name, read) in (_COLUMNS | {name: one for name, one in _OPTIONAL.items() if name in line}).items():
        try:
            values[name] = read(line[column].strip())
        except ValueError as reason:
            wrong(cell_problem(column, line[column], reason))
    if values.get("desk_key") not in (None, *desk_keys):
        known = ", ".join(desk_keys) or _("(no desk yet)")
        wrong(cell_problem("desk", values["desk_key"], _("it must be one of %(words)s.", words=known)))
    texts = {language: _texts(line, language) for language in languages}
    for language in languages:
        for text in ("name", "summary", "who"):
            if not texts[language][text]:
                wrong(_("%(column)s is empty; citizens would read nothing.", column=f"{text}_{language}"))
        if len(texts[language]["name"]) > NAME_LENGTH:
            column = f"name_{language}"
            wrong(_("%(column)s is longer than %(most)s characters.", column=column, most=NAME_LENGTH))
    if len({len(texts[language]["bring"]) for language in languages}) > 1:
        wrong(_("the bring lists have different numbers of items; they must say the same in every language."))
    return Row(number, values, texts)


def _texts(line: dict[str, str], language: str) -> dict[str, Any]:
    texts: dict[str, Any] = {text: line[f"{text}_{language}"].strip() for text in TEXTS}
    for text in LISTS:
        texts[text] = [item.strip() for item in texts[text].split(";") if item.strip()]
    optional = {text: line[f"{text}_{language}"].strip() for text in OPTIONAL_TEXTS if f"{text}_{language}" in line}
    return texts | optional


def _unanswerable(rows: Sequence[Row]) -> list[str]:
    """What is wrong with the questions before a visit."""
    keys = {row.values["key"] for row in rows}
    problems = []
    for row in rows:
        texts = {language: text["questions"] for language, text in row.texts.items() if "questions" in text}
        found = question_problems(texts, row.values["max_people"], keys)
        problems += [problem(row.line, row.values["key"], reason) for reason in found]
    return problems


def _duplicates(rows: Sequence[Row]) -> list[str]:
    first: dict[str, int] = {}
    problems = []
    for row in rows:
        service_key = row.values.get("key")
        if service_key and first.setdefault(service_key, row.line) != row.line:
            reason = _("the key stands in line %(line)s already.", line=first[service_key])
            problems.append(problem(row.line, service_key, reason))
    return problems


def _unknown(rows: Sequence[Row], desk_keys: Sequence[str]) -> list[str]:
    """What stands in `after` must be in the file or be a desk, and nothing may come before itself."""
    keys = {row.values["key"]: row.values["desk_key"] for row in rows}
    after = {row.values["key"]: row.values.get("comes_after", []) for row in rows}
    problems = []
    for row in rows:
        key = row.values["key"]
        for name in after[key]:
            if name not in keys and name not in desk_keys:
                reason = _("after names %(name)s, which is neither a service nor a desk.", name=repr(name))
                problems.append(problem(row.line, key, reason))
    circle = circle_of(keys, after)
    if circle:
        problems.append(_("The services %(keys)s come after each other in a circle.", keys=", ".join(circle)))
    return problems


def circle_of(desks: Mapping[str, str], after: Mapping[str, Sequence[str]]) -> list[str]:
    """The services that would have to come before themselves, if any: `desks` and `after` by the key of a service."""
    before = {
        key: {one for one, desk in desks.items() if one in first or (desk in first and desk != desks[key])}
        for key, first in after.items()
    }
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        return sorted(set(error.args[1]))
    return []


def _desk_keys(municipality: Municipality) -> list[str]:
    query = select(Desk.key).join(Office).where(Office.municipality_id == municipality.id)
    return sorted(set(db.session.scalars(query)))


def _new(municipality: Municipality, row: Row) -> Service:
    service = Service(municipality_id=municipality.id, **row.values)
    service.texts = [ServiceText(language=language, **texts) for language, texts in row.texts.items()]
    return service


def _serve(municipality: Municipality, services: Sequence[Service]) -> None:
    """All counters of the desks that these services name do them from now on."""
    counters: dict[str, list[int]] = {}
    query = select(Desk.key, Counter.id).join(Counter, Counter.desk_id == Desk.id).join(Office)
    for key, id in db.session.execute(query.where(Office.municipality_id == municipality.id).order_by(Counter.id)):
        counters.setdefault(key, []).append(id)
    served = [(id, service.id) for service in services for id in counters.get(service.desk_key, ())]
    if served:
        rows = [{"counter_id": counter_id, "service_id": service_id} for counter_id, service_id in served]
        db.session.execute(insert(CounterService), rows)


def _update(service: Service, row: Row) -> list[str]:
    """Brings the service up to the row; what changed, in words."""
    changed = _assign(service, row.values, _CALLED)
    known = {text.language: text for text in service.texts}
    for language, texts in row.texts.items():
        text = known.get(language)
        if text is None:
            service.texts.append(ServiceText(language=language, **texts))
            changed += [f"{name}_{language}: {_('new')}" for name in texts]
        else:
            changed += _assign(text, texts, {name: f"{name}_{language}" for name in texts})
    return changed


def _assign(target: Service | ServiceText, values: Mapping[str, Any], called: Mapping[str, str]) -> list[str]:
    """Sets what is different; in words, by what the columns are called."""
    before = {name: _in_words(name, getattr(target, name)) for name in values}
    different = {name: value for name, value in values.items() if before[name] != _in_words(name, value)}
    present = {called[name]: before[name] for name in different}
    for name, value in different.items():
        setattr(target, name, value)
    return differences(present, {called[name]: _in_words(name, value) for name, value in different.items()})


def _in_words(name: str, value: Any) -> Any:
    """The value of a column as a file has it: reminder rules are words there, whatever their occasions are called."""
    return reminding.said(value) if name == "reminders" else value


def written(municipality: Municipality) -> str:
    """The services of the municipality as a file that can be imported again."""
    query = select(Service).where(Service.municipality_id == municipality.id).order_by(Service.id)
    columns = _COLUMNS | _OPTIONAL
    names = [(n, one) for n in (*TEXTS, *OPTIONAL_TEXTS) for one in municipality.languages]
    rows = []
    for service in db.session.scalars(query):
        plain = [_in_words(name, getattr(service, name)) for name, _read in columns.values()]
        texts = {one.language: one for one in service.texts}
        said = [getattr(texts[language], name) if language in texts else "" for name, language in names]
        rows.append([*plain, *said])
    return sheet(header(municipality.languages), rows)


def _word(text: str) -> str | None:
    if len(text) > 40:
        raise ValueError(_("it must be a word of at most 40 characters, or empty."))
    return text or None


def _address(text: str) -> str | None:
    if text and not is_address(text):
        raise ValueError(_("it must be an address like https://www.example.org/form, or empty."))
    return text or None


def _fee(text: str) -> Decimal | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,2})?", text):
        raise ValueError(_("it must be an amount in euros like 12.50, or empty where the council sets it."))
    return Decimal(text)


_COLUMNS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "key": ("key", a_key),
    "desk": ("desk_key", str),
    "minutes": ("minutes", whole(5, 480, 5)),
    "extra_person_minutes": ("extra_person_minutes", whole(0, 240, 5)),
    "max_people": ("max_people", whole(1, 20)),
    "in_person": ("in_person", one_of("yes", "no")),
    "walk_in": ("walk_in", one_of("yes", "sometimes", "no")),
    "online": ("online", one_of("yes", "partly", "no")),
    "sensitive": ("is_sensitive", yes),
    "fee_eur": ("fee", _fee),
    "min_notice_hours": ("min_notice_hours", whole(0, 10_000)),
    "max_days_ahead": ("max_days_ahead", whole(1, 400)),
}

_OPTIONAL: dict[str, tuple[str, Callable[[str], Any]]] = {
    "combines": ("combines", _word),
    "after": ("comes_after", keys),
    "move_hours": ("move_hours", whole(0, 1000)),
    "cancel_hours": ("cancel_hours", whole(0, 1000)),
    "online_url": ("online_url", _address),
    "reminders": ("reminders", reminding.rules),
}
_CALLED = {name: column for column, (name, _read) in (_COLUMNS | _OPTIONAL).items()}
