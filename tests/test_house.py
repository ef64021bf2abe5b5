"""The house keeps its shape: imports point down, files and functions stay small, words of the house are kept."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

import booking.tables  # noqa: F401  (all of them)
from booking.db import Base
from booking.exchange.archive import LEFT_OUT, NEVER, tables
from booking.exchange.archive import columns as columns_of

pytestmark = pytest.mark.house

ROOT = Path(__file__).resolve().parent.parent

# Who may import whom: a room sees the rooms of the levels above it in this list, and itself.
LEVELS = (
    {"silence", "direct"},
    {"db", "config", "links", "spoken", "slots"},
    {"townhall", "outbox"},
    {"staff"},
    {"appointments"},
    {"calendars", "privacy", "planning", "first"},
    {"delivery", "exchange"},
    {"tables"},
    {"web", "demo"},
    {"cli"},
    {"__init__"},
    {"worker", "launch"},
)
ONE_PLACE = {
    "twilio": "delivery/sms.py",
    "authlib": "staff/openid.py",
    "apscheduler": "worker.py",
    "icalendar": "calendars/",
    "altcha": "web/citizen/proof.py",
}
WEB_ONLY = {"request", "session", "abort", "redirect"}
BANNED = re.compile(r"(utils|helpers?|managers?|handlers?|repositor)", re.IGNORECASE)


def python_files() -> list[Path]:
    return sorted((ROOT / "booking").rglob("*.py"))


def room_of(file: Path) -> str:
    first = file.relative_to(ROOT / "booking").parts[0]
    return first.removesuffix(".py")


def level_of(room: str) -> int:
    return next(level for level, rooms in enumerate(LEVELS) if room in rooms)


def imports(tree: ast.AST) -> Iterator[tuple[str, set[str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, set()


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def length(node: ast.FunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("file", python_files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_down(file: Path) -> None:
    room = room_of(file)
    for module, names in imports(ast.parse(file.read_text())):
        if module.split(".")[0] != "booking":
            continue
        parts = module.split(".")[1:] or sorted(names & {name for rooms in LEVELS for name in rooms}) or ["__init__"]
        other = parts[0]
        assert other == room or level_of(other) < level_of(room), f"{room} must not import {module}"


@pytest.mark.parametrize("file", python_files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_each_provider_is_known_in_one_place(file: Path) -> None:
    where = str(file.relative_to(ROOT / "booking"))
    for module, names in imports(ast.parse(file.read_text())):
        place = ONE_PLACE.get(module.split(".")[0])
        assert place is None or where.startswith(place), f"{where} must not import {module}"
        if module == "flask" and room_of(file) != "web":
            assert not names & WEB_ONLY, f"{where} is below the web and must not know the request"


@pytest.mark.parametrize("file", python_files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_files_and_functions_are_small_and_say_what_they_are_for(file: Path) -> None:
    text = file.read_text()
    tree = ast.parse(text)
    if text.strip():
        assert ast.get_docstring(tree), "a module begins with one sentence: what it is for"
    assert text.count("\n") <= 400
    for function in functions(tree):
        arguments = function.args.args + function.args.kwonlyargs
        assert length(function) <= 50, f"{function.name} is too long"
        assert len([one for one in arguments if one.arg not in ("self", "cls")]) <= 5, f"{function.name} takes too much"


def test_functions_are_short_in_the_middle_and_in_the_tail() -> None:
    lengths = sorted(length(one) for file in python_files() for one in functions(ast.parse(file.read_text())))
    assert statistics.median(lengths) <= 10
    assert lengths[int(len(lengths) * 0.9)] <= 30


def test_tests_are_small_too() -> None:
    for file in (ROOT / "tests").rglob("*.py"):
        assert file.read_text().count("\n") <= 500, file.name


def test_nothing_is_called_by_an_empty_word() -> None:
    for file in python_files():
        assert not BANNED.search(file.name), file.name
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                assert not BANNED.search(node.name), f"{file.name}: {node.name}"


def test_every_setting_stands_in_the_readme() -> None:
    named = set(re.findall(r"BALIE_[A-Z_]+", (ROOT / "booking" / "config.py").read_text()))
    readme = (ROOT / "README.md").read_text()
    assert not {name for name in named if name not in readme}


def test_templates_hold_no_script_and_no_style_of_their_own() -> None:
    for file in (ROOT / "templates").rglob("*.html"):
        text = file.read_text()
        if file.parent.name == "messages":
            continue  # mail programs know no style sheets
        assert "style=" not in text and "<style" not in text, file.name
        assert "<script" not in text.replace("<script src=", ""), file.name
        assert not re.search(r"\son[a-z]+=", text), file.name


def test_every_table_is_exported_or_left_out_for_a_reason() -> None:
    """A new table goes into archive.LEFT_OUT with a reason, or its secret and personal columns into archive.NEVER."""
    every = set(Base.metadata.tables)
    assert set(LEFT_OUT) <= every and set(NEVER) <= every
    assert all(LEFT_OUT.values())
    for name, columns in NEVER.items():
        assert columns <= set(Base.metadata.tables[name].columns.keys()), name
    personal = re.compile(r"name$|email|phone|note|token|secret|hash|content|origin|address|generation")
    doubtful = {
        f"{table.name}.{column.name}"
        for table in tables()
        for column in columns_of(table)
        if personal.search(column.name)
    }
    assert doubtful == {
        "desk.email",
        "device.name",
        "feed.name",
        "logo.content",
        "municipality.email",
        "municipality.holds_per_address",
        "municipality.phone",
        "office.address",
        "office.day_list_email",
        "office.email",
        "office.phone",
        "service_text.name",
        "sign_in_provider.name",
        "staff.email",
        "staff.name",
    }
