"""The catalogue of services as a CSV file: checked row by row, then imported whole or not at all.

Columns: key, desk, minutes, extra_person_minutes, max_people, in_person, walk_in, online, sensitive, fee_eur (empty
where the council sets it), min_notice_hours, max_days_ahead; then name, summary, who, bring and words, each once a
language (name_nl, name_fr …), bring and words separated by semicolons; and source, which is not read. Where wanted:
online_url, and the questions before a visit in each language (questions_nl …), as questions.py describes them.

Columns that may be left out, and then change nothing: combines (a word; services that share it can be dealt with in
one appointment, empty for one that is dealt with alone), after (the keys of services and desks, separated by
semicolons, that come first when several desks are seen in one visit), move_hours and cancel_hours (how many hours
before it begins a citizen can move an appointment, or cancel it, for the last time).
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from graphlib import CycleError, TopologicalSorter
from itertools import zip_longest
from typing import Any

from sqlalchemy import insert, select

from booking.db import db
from booking.townhall.models import Counter, CounterService, Desk, Municipality, Office, Service, ServiceText
from booking.townhall.questions import is_address, question_problems
from booking.townhall.revisions import raise_town

TEXTS = ("name", "summary", "who", "bring", "words")
LISTS = ("bring", "words")
OPTIONAL_TEXTS = ("questions",)  # may be missing; see questions.py
IGNORED = frozenset({"source"})
NAME_LENGTH = 160  # what the table holds


class CatalogueError(Exception):
    """The file was not imported; `problems` name each line and what is wrong with it."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


@dataclass(frozen=True)
class Outcome:
    """How many services the import added, changed and found as they were, and what differs.

    `differences` have the key of each service that is not as it was, and the columns that changed; none: it is new.
    """

    added: int
    changed: int
    unchanged: int
    differences: Sequence[tuple[str, Sequence[str]]] = field(default=(), compare=False)


@dataclass(frozen=True)
class Row:
    """One checked service: the values of its columns, and its texts by language."""

    line: int
    values: dict[str, Any]
    texts: dict[str, dict[str, Any]]


Progress = Callable[[list[Row]], Iterable[Row]]


def import_catalogue(municipality: Municipality, content: bytes, now: datetime, progress: Progress = iter) -> Outcome:
    """Adds and updates the services of the file; none is deleted. Raises CatalogueError. Flushes.

    A new service is served by all counters of the desks it names. `progress` hands the rows on, one by one.
    """
    rows = read_catalogue(content, municipality.languages, _desk_keys(municipality))
    raise_town(municipality, now)
    query = select(Service).where(Service.municipality_id == municipality.id)
    known = {service.key: service for service in db.session.scalars(query)}
    differences: list[tuple[str, Sequence[str]]] = []
    for row in progress(rows):
        service = known.get(row.values["key"])
        if service is None:
            _add(municipality, row)
            differences.append((row.values["key"], ()))
        elif columns := _update(service, row):
            differences.append((service.key, columns))
    db.session.flush()
    added = sum(not columns for _key, columns in differences)
    return Outcome(added, len(differences) - added, len(rows) - len(differences), differences)


def read_catalogue(content: bytes, languages: Sequence[str], desk_keys: Sequence[str]) -> list[Row]:
    """The checked rows of the file. Raises CatalogueError with every problem that was found."""
    (_, columns), *lines = _lines(_decoded(content))
    problems = _column_problems(columns, languages)
    if not lines and not problems:
        problems = ["The file has a header but no services; nothing was imported."]
    if problems:
        raise CatalogueError(problems)
    rows = [_row(number, dict(zip_longest(columns, cells)), languages, desk_keys, problems) for number, cells in lines]
    problems += _duplicates(rows)
    problems += [*_unknown(rows, desk_keys), *_unanswerable(rows)] if not problems else []
    if problems:
        raise CatalogueError(problems)
    return rows


def _decoded(content: bytes) -> str:
    content = content.removeprefix(codecs.BOM_UTF8)
    if not content.strip():
        raise CatalogueError(["The file is empty; nothing was imported."])
    end = content.find(b"\0")  # UTF-16 that happens to decode, and what no database takes
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        end = error.start
    if end >= 0:
        line = content.count(b"\n", 0, end) + 1
        raise CatalogueError([f"Line {line}: the file is not UTF-8. Save it as CSV UTF-8 and try again."])
    return text


def _lines(text: str) -> list[tuple[int, list[str]]]:
    """The cells of each line, with the number of its first line in the file: there a person looks for it."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines, number = [], 1
    try:
        for cells in reader:
            if cells:
                lines.append((number, cells))
            number = reader.line_num + 1
    except csv.Error as error:
        raise CatalogueError([f"Line {number}: this is not valid CSV ({error})."]) from error
    return lines


def _column_problems(columns: Sequence[str], languages: Sequence[str]) -> list[str]:
    if len(columns) == 1 and ";" in columns[0]:
        return ["Line 1: the columns are separated by semicolons; save the file as CSV with commas and try again."]
    wanted = [*_COLUMNS, *(f"{text}_{language}" for text in TEXTS for language in languages)]
    may_be = [f"{text}_{language}" for text in OPTIONAL_TEXTS for language in languages]
    missing = [name for name in wanted if name not in columns]
    strange = [name for name in columns if name not in (*wanted, *_OPTIONAL, *may_be) and not _is_ignored(name)]
    twice = [name for name in dict.fromkeys(columns) if columns.count(name) > 1]
    problems = [f"Line 1: the column {name!r} is missing." for name in missing]
    problems += [f"Line 1: the column {name!r} is not known; take it out or correct its name." for name in strange]
    return problems + [f"Line 1: the column {name!r} stands there twice." for name in twice]


def _is_ignored(name: str) -> bool:
    """Columns that are not read: the source, and texts in languages that the municipality has not switched on."""
    text, _, language = name.partition("_")
    return name in IGNORED or (text in (*TEXTS, *OPTIONAL_TEXTS) and len(language) == 2 and language.isalpha())


def _row(
    number: int, line: dict[str, Any], languages: Sequence[str], desk_keys: Sequence[str], problems: list[str]
) -> Row:
    """The row's values; what is wrong with it is added to `problems`."""

    def wrong(reason: object) -> None:
        problems.append(f"Line {number} ({line.get('key') or 'no key'}): {reason}")

    line = {column: _as_meant(cell) if isinstance(cell, str) else cell for column, cell in line.items()}
    values: dict[str, Any] = {}
    if None in line or None in line.values():
        wrong("it has more or fewer fields than the header; is a comma missing its quotation marks?")
        return Row(number, {"key": line.get("key")}, {})
    for column, (name, read) in (_COLUMNS | {name: one for name, one in _OPTIONAL.items() if name in line}).items():
        try:
            values[name] = read(line[column].strip())
        except ValueError as reason:
            wrong(f"{column} is {line[column]!r}; {reason}")
    if values.get("desk_key") not in (None, *desk_keys):
        wrong(f"desk is {values['desk_key']!r}; it must be one of {', '.join(desk_keys) or '(no desk yet)'}.")
    texts = {language: _texts(line, language) for language in languages}
    for language in languages:
        for text in ("name", "summary", "who"):
            if not texts[language][text]:
                wrong(f"{text}_{language} is empty; citizens would read nothing.")
        if len(texts[language]["name"]) > NAME_LENGTH:
            wrong(f"name_{language} is longer than {NAME_LENGTH} characters.")
    if len({len(texts[language]["bring"]) for language in languages}) > 1:
        wrong("the bring lists have different numbers of items; they must say the same in every language.")
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
        problems += [f"Line {row.line} ({row.values['key']}): {problem}" for problem in found]
    return problems


def _duplicates(rows: Sequence[Row]) -> list[str]:
    first: dict[str, int] = {}
    problems = []
    for row in rows:
        service_key = row.values.get("key")
        if service_key and first.setdefault(service_key, row.line) != row.line:
            problems.append(f"Line {row.line} ({service_key}): the key stands in line {first[service_key]} already.")
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
                problems.append(
                    f"Line {row.line} ({key}): after names {name!r}, which is neither a service nor a desk."
                )
    circle = circle_of(keys, after)
    if circle:
        problems.append(f"The services {', '.join(circle)} come after each other in a circle.")
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


def _add(municipality: Municipality, row: Row) -> None:
    service = Service(municipality_id=municipality.id, **row.values)
    service.texts = [ServiceText(language=language, **texts) for language, texts in row.texts.items()]
    db.session.add(service)
    db.session.flush()
    counters = (
        select(Counter.id)
        .join(Desk)
        .join(Office)
        .where(Office.municipality_id == municipality.id, Desk.key == service.desk_key)
    )
    served = [{"counter_id": id, "service_id": service.id} for id in db.session.scalars(counters)]
    if served:
        db.session.execute(insert(CounterService), served)


def _update(service: Service, row: Row) -> list[str]:
    """Brings the service up to the row; the columns that changed."""
    changed = _assign(service, row.values)
    known = {text.language: text for text in service.texts}
    for language, texts in row.texts.items():
        if language not in known:
            service.texts.append(ServiceText(language=language, **texts))
            changed += [f"{name}_{language}" for name in texts]
        else:
            changed += [f"{name}_{language}" for name in _assign(known[language], texts)]
    return changed


def _assign(target: Service | ServiceText, values: dict[str, Any]) -> list[str]:
    different = {name: value for name, value in values.items() if getattr(target, name) != value}
    for name, value in different.items():
        setattr(target, name, value)
    return list(different)


def written(municipality: Municipality) -> str:
    """The services of the municipality as a file that can be imported again."""
    query = select(Service).where(Service.municipality_id == municipality.id).order_by(Service.id)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    columns = _COLUMNS | _OPTIONAL
    names = [(n, one) for n in (*TEXTS, *OPTIONAL_TEXTS) for one in municipality.languages]
    writer.writerow([*columns, *(f"{name}_{language}" for name, language in names)])
    for service in db.session.scalars(query):
        plain = [_cell(getattr(service, name)) for name, _read in columns.values()]
        texts = {one.language: one for one in service.texts}
        said = [_cell(getattr(texts[language], name)) if language in texts else "" for name, language in names]
        writer.writerow([*plain, *said])
    return text.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return harmless("; ".join(value) if isinstance(value, list) else "" if value is None else str(value))


def harmless(text: str) -> str:
    """A text that a spreadsheet would take for a formula gets an apostrophe in front; reading takes it off again."""
    return f"'{text}" if re.match(r"'*[=+\-@\t\r]", text) else text


def _as_meant(cell: str) -> str:
    return cell[1:] if re.match(r"'+[=+\-@\t\r]", cell) else cell


def _key(text: str) -> str:
    if not text or len(text) > 60 or not text.replace("_", "").replace("-", "").isalnum() or not text.isascii():
        raise ValueError("it must be a short name of letters, digits and underscores.")
    return text


def _word(text: str) -> str | None:
    if len(text) > 40:
        raise ValueError("it must be a word of at most 40 characters, or empty.")
    return text or None


def _keys(text: str) -> list[str]:
    return [_key(key.strip()) for key in text.split(";") if key.strip()]


def _whole(least: int, most: int, step: int = 1) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() else -1
        if not least <= number <= most or number % step:
            multiple = f", a multiple of {step}" if step > 1 else ""
            raise ValueError(f"it must be a whole number from {least} to {most}{multiple}.")
        return number

    return read


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"it must be one of {', '.join(words)}.")
        return text

    return read


def _yes(text: str) -> bool:
    return _one_of("yes", "no")(text) == "yes"


def _address(text: str) -> str | None:
    if text and not is_address(text):
        raise ValueError("it must be an address like https://www.example.org/form, or empty.")
    return text or None


def _fee(text: str) -> Decimal | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,2})?", text):
        raise ValueError("it must be an amount in euros like 12.50, or empty where the council sets it.")
    return Decimal(text)


_COLUMNS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "key": ("key", _key),
    "desk": ("desk_key", str),
    "minutes": ("minutes", _whole(5, 480, 5)),
    "extra_person_minutes": ("extra_person_minutes", _whole(0, 240, 5)),
    "max_people": ("max_people", _whole(1, 20)),
    "in_person": ("in_person", _one_of("yes", "no")),
    "walk_in": ("walk_in", _one_of("yes", "sometimes", "no")),
    "online": ("online", _one_of("yes", "partly", "no")),
    "sensitive": ("is_sensitive", _yes),
    "fee_eur": ("fee", _fee),
    "min_notice_hours": ("min_notice_hours", _whole(0, 10_000)),
    "max_days_ahead": ("max_days_ahead", _whole(1, 400)),
}

_OPTIONAL: dict[str, tuple[str, Callable[[str], Any]]] = {
    "combines": ("combines", _word),
    "after": ("comes_after", _keys),
    "move_hours": ("move_hours", _whole(0, 1000)),
    "cancel_hours": ("cancel_hours", _whole(0, 1000)),
    "online_url": ("online_url", _address),
}
