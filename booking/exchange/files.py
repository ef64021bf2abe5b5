"""The kinds of files: their columns, how a line is read, and how it differs from what the town has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import zip_longest
from typing import Any

from booking.exchange.places import Places
from booking.staff.audit import Actor
from booking.townhall.hours import WeeklyRule
from booking.townhall.models import Municipality
from booking.townhall.sheets import (
    Reader,
    SheetError,
    _,
    as_meant,
    cell_problem,
    column_problems,
    lines_of,
    problem,
    sheet,
    uneven,
)


@dataclass(frozen=True)
class Text:
    """A text with a column for each language (name_nl …); where `needed`, the authoritative one must be there."""

    most: int
    needed: bool = False


@dataclass(frozen=True)
class Kind:
    """The columns of a file: what reads each, the texts, and which may be left out, and then change nothing.

    The columns of `key` say what a line is about; no other line may be about the same, unless it `may_repeat`.
    """

    key: tuple[str, ...]
    columns: Mapping[str, Reader]
    texts: Mapping[str, Text] = field(default_factory=dict)
    may_be: frozenset[str] = frozenset()
    may_repeat: bool = False

    def header(self, languages: Sequence[str]) -> list[str]:
        return [*self.columns, *(f"{name}_{language}" for name in self.texts for language in languages)]

    def written(self, languages: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
        header = self.header(languages)
        return sheet(header, [[row[name] for name in header] for row in rows])


@dataclass(frozen=True)
class Line:
    """A checked line: its number in the file, what it is about in words, and the values of its columns."""

    number: int
    name: str
    values: Mapping[str, Any]

    def problem(self, reason: str) -> str:
        return problem(self.number, self.name, reason)


@dataclass(frozen=True)
class Difference:
    """What a line changes, in words; nothing: what it is about is new."""

    name: str
    changes: Sequence[str] = ()


@dataclass
class Run:
    """An import on its way: in which town, by whom, when, and what the files name. `rules` are those of the hours."""

    municipality: Municipality
    places: Places
    actor: Actor
    now: datetime
    today: date
    rules: dict[int, list[WeeklyRule]] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """A kind of file that can be imported and exported, and the functions that do it.

    The columns of `key` say what a line is about. `read` adds what its lines name to the places and raises SheetError;
    `carry` gives for each line what it changes, or None; `written` is the file of a municipality.
    """

    name: str
    title: Any
    key: tuple[str, ...]
    header: Callable[[Sequence[str]], Sequence[str]]
    read: Callable[[bytes, Places], Sequence[Any]]
    carry: Callable[[Run, Sequence[Any]], Iterator[Difference | None]]
    written: Callable[[Municipality], str]


def read_lines(kind: Kind, content: bytes, languages: Sequence[str], own: str) -> list[Line]:
    """The checked lines of the file. Raises SheetError with every problem that was found."""
    (_number, columns), *rows = lines_of(content)
    wanted = [name for name in kind.header(languages) if name not in kind.may_be]
    problems = column_problems(columns, wanted, lambda name: name in kind.may_be or _is_other_language(kind, name))
    if not rows and not problems:
        problems = [_("The file has a header and no lines; nothing was imported.")]
    if problems:
        raise SheetError(problems)
    readers = _readers(kind, languages, own)
    lines = [_line(kind, number, dict(zip_longest(columns, cells)), readers, problems) for number, cells in rows]
    if not kind.may_repeat and not problems:
        problems += _repeated(lines)
    if problems:
        raise SheetError(problems)
    return lines


def _is_other_language(kind: Kind, name: str) -> bool:
    text, _underscore, language = name.rpartition("_")
    return text in kind.texts and len(language) == 2 and language.isalpha()


def _line(
    kind: Kind, number: int, cells: Mapping[Any, Any], readers: Mapping[str, Reader], problems: list[str]
) -> Line:
    """The line's values; what is wrong with it is added to `problems`."""
    name = about(kind.key, cells)
    if None in cells or None in cells.values():
        problems.append(problem(number, name, uneven()))
        return Line(number, name, {})
    values: dict[str, Any] = {}
    for column, read in readers.items():
        if column in cells:
            given = as_meant(cells[column]).strip()
            try:
                values[column] = read(given)
            except ValueError as reason:
                problems.append(problem(number, name, cell_problem(column, given, reason)))
    return Line(number, name, values)


def about(key: Sequence[str], cells: Mapping[Any, Any]) -> str:
    """What a line is about, in words."""
    return ", ".join(filter(None, (as_meant(cells[one] or "").strip() for one in key)))


def _readers(kind: Kind, languages: Sequence[str], own: str) -> dict[str, Reader]:
    texts = {
        f"{name}_{language}": a_text(text.most, text.needed and language == own)
        for name, text in kind.texts.items()
        for language in languages
    }
    return {**kind.columns, **texts}


def _repeated(lines: Sequence[Line]) -> list[str]:
    first: dict[str, int] = {}
    again = [line for line in lines if first.setdefault(line.name.casefold(), line.number) != line.number]
    return [line.problem(_("it stands in line %(line)s already.", line=first[line.name.casefold()])) for line in again]


def by_language(values: Mapping[str, Any], name: str, before: Mapping[str, str]) -> dict[str, str]:
    """The texts of a line, in the languages that it has; those in others stay."""
    start = f"{name}_"
    given = {column.removeprefix(start): text for column, text in values.items() if column.startswith(start)}
    return {language: text for language, text in {**before, **given}.items() if text}


def spread(name: str, texts: Mapping[str, str], languages: Sequence[str]) -> dict[str, str]:
    """The same the other way round: a column for each language."""
    return {f"{name}_{language}": texts.get(language, "") for language in languages}


def a_text(most: int, needed: bool = True) -> Reader:
    """Reads a text."""

    def read(text: str) -> str:
        if needed and not text:
            raise ValueError(_("it must not be empty."))
        if len(text) > most:
            raise ValueError(_("shorten it to %(num)s characters.", num=most))
        return text

    return read


def an_email(text: str) -> str:
    """Reads an e-mail address."""
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", text) or len(text) > 254:
        raise ValueError(_("it must be an e-mail address like name@example.org."))
    return text


def or_nothing(read: Reader) -> Reader:
    """Reads an empty cell as None."""
    return lambda text: read(text) if text else None


def a_phone(text: str) -> str:
    """Reads a phone number in international form."""
    packed = re.sub(r"[\s/().-]", "", text)
    if not re.fullmatch(r"\+[1-9][0-9]{5,14}", packed):
        raise ValueError(_("it must be a phone number with its country, like +32 15 12 34 56."))
    return packed


def a_date(text: str) -> date:
    """Reads a date: 2026-12-31, or 31.12.2026 and 31/12/2026 as spreadsheets make of it."""
    found = re.fullmatch(r"(\d{1,2})[./-](\d{1,2})[./-](\d{4})", text, re.ASCII)
    try:
        return date(int(found[3]), int(found[2]), int(found[1])) if found else date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(_("it must be a date like 2026-12-31.")) from error
