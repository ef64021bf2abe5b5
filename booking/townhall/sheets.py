"""CSV files: read cell by cell, with every problem named by its line, and written so that they come back as they were.

Commas or, as spreadsheets in many countries save it, semicolons between the cells; UTF-8 with or without a mark.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from flask_babel import gettext

Reader = Callable[[str], Any]  # from a cell to its value; raises ValueError with what it must be


def _(text: str, **words: object) -> str:
    """The text in the reader's language; flask_babel says nothing about types."""
    found: str = gettext(text, **words)
    return found


SHOWN = 60  # characters of a cell in a difference


class SheetError(Exception):
    """The file was not imported; `problems` name each line and what is wrong with it."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


def lines_of(content: bytes) -> list[tuple[int, list[str]]]:
    """The cells of each line, with the number of its first line in the file: there a person looks for it.

    Raises SheetError.
    """
    text = _decoded(content)
    header = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=";" if _is_semicolons(header) else ",")
    lines, number = [], 1
    try:
        for cells in reader:
            if any(cells):
                lines.append((number, cells))
            number = reader.line_num + 1
    except csv.Error as error:
        raise SheetError(
            [_("Line %(line)s: this is not valid CSV (%(reason)s).", line=number, reason=error)]
        ) from error
    return lines


def _is_semicolons(header: str) -> bool:
    return ";" in header and "," not in header


def _decoded(content: bytes) -> str:
    content = content.removeprefix(codecs.BOM_UTF8)
    if not content.strip():
        raise SheetError([_("The file is empty; nothing was imported.")])
    end = content.find(b"\0")  # UTF-16 that happens to decode, and what no database takes
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        end = error.start
    if end >= 0:
        line = content.count(b"\n", 0, end) + 1
        raise SheetError([_("Line %(line)s: the file is not UTF-8. Save it as CSV UTF-8 and try again.", line=line)])
    return text


def column_problems(
    columns: Sequence[str], wanted: Iterable[str], is_known: Callable[[str], bool] = lambda _name: False
) -> list[str]:
    """What is wrong with the header: columns that are missing, strange or there twice."""
    needed = list(wanted)
    missing = [name for name in needed if name not in columns]
    strange = [name for name in columns if name not in needed and not is_known(name)]
    twice = [name for name in dict.fromkeys(columns) if columns.count(name) > 1]
    problems = [_("Line 1: the column %(name)s is missing.", name=repr(name)) for name in missing]
    problems += [
        _("Line 1: the column %(name)s is not known; take it out or correct its name.", name=repr(name))
        for name in strange
    ]
    return problems + [_("Line 1: the column %(name)s stands there twice.", name=repr(name)) for name in twice]


def problem(line: int, row: str, reason: object) -> str:
    """What is wrong with a row, named by its line and by what it is about."""
    return _("Line %(line)s (%(row)s): %(reason)s", line=line, row=row or _("no key"), reason=reason)


def cell_problem(column: str, cell: str, reason: object) -> str:
    """What is wrong with one cell."""
    return _("%(column)s is %(cell)s; %(reason)s", column=column, cell=repr(cell), reason=reason)


def uneven() -> str:
    """What is wrong with a row that is longer or shorter than the header."""
    return _("it has more or fewer fields than the header; is a comma missing its quotation marks?")


def sheet(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """The rows as a CSV file under these columns; nothing in it is a formula."""
    return "".join(sheet_lines(columns, rows))


def sheet_lines(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """The same line by line, for files of any length."""
    for row in chain([columns], rows):
        text = io.StringIO(newline="")
        csv.writer(text).writerow([cell(value) for value in row])
        yield text.getvalue()


def cell(value: Any) -> str:
    """A value as it stands in a cell."""
    return harmless(_said(value))


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return "" if value is None else str(value)


def harmless(text: str) -> str:
    """A text that a spreadsheet would take for a formula gets an apostrophe in front; reading takes it off again."""
    return f"'{text}" if re.match(r"'*[=+\-@\t\r]", text) else text


def as_meant(text: str) -> str:
    """What harmless() was given."""
    return text[1:] if re.match(r"'+[=+\-@\t\r]", text) else text


def differences(present: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What the line would change, column by column: "minutes: 15 → 20"; of lists what comes and goes."""
    return [
        f"{column}: {_difference(present[column], value)}"
        for column, value in wanted.items()
        if column in present and present[column] != value
    ]


def _difference(before: Any, after: Any) -> str:
    if isinstance(after, list):
        come = [f"+ {one}" for one in after if one not in before]
        gone = [f"− {one}" for one in before if one not in after]
        return ", ".join([*come, *gone]) or _("another order")
    return f"{_short(before)} → {_short(after)}"


def _short(value: Any) -> str:
    text = _said(value)
    return (text if len(text) <= SHOWN else f"{text[:SHOWN]}…") or "–"


def a_key(text: str) -> str:
    """A short name."""
    if not text or len(text) > 60 or not text.replace("_", "").replace("-", "").isalnum() or not text.isascii():
        raise ValueError(_("it must be a short name of letters, digits and underscores."))
    return text


def keys(text: str) -> list[str]:
    """Short names with semicolons between."""
    return [a_key(one) for one in listed(text)]


def listed(text: str) -> list[str]:
    """What stands between the semicolons."""
    return [one.strip() for one in text.split(";") if one.strip()]


def whole(least: int, most: int, step: int = 1) -> Callable[[str], int]:
    """Reads a whole number."""

    def read(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
        if not least <= number <= most or number % step:
            reason = _("it must be a whole number from %(least)s to %(most)s", least=least, most=most)
            raise ValueError(reason + (_(", a multiple of %(step)s", step=step) if step > 1 else "") + ".")
        return number

    return read


def one_of(*words: str) -> Callable[[str], str]:
    """Reads one of these words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(_("it must be one of %(words)s.", words=", ".join(words)))
        return text

    return read


def yes(text: str) -> bool:
    return one_of("yes", "no")(text) == "yes"
