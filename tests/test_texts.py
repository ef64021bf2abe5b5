"""Texts in four languages: nothing missing, nothing doubtful, nothing that a template forgot to hand over."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from booking import spoken

pytestmark = pytest.mark.house

ROOT = Path(__file__).resolve().parent.parent
METHODS = [("**.py", "python"), ("**.html", "jinja2"), ("**.txt", "jinja2")]
KEYWORDS = {"_": None, "_l": None, "gettext": None, "lazy_gettext": None, "ngettext": (1, 2)}
OTHER_LANGUAGES = ("nl", "fr", "de")  # the texts in the code are the English ones


def texts() -> set[str]:
    """All texts of code and templates."""
    found = set()
    for folder in ("booking", "templates"):
        for _file, _line, message, _comments, _context in extract_from_dir(ROOT / folder, METHODS, keywords=KEYWORDS):
            found.add(message if isinstance(message, str) else message[0])
    return found


def catalogue(language: str) -> Catalog:
    file = ROOT / "booking" / "translations" / language / "LC_MESSAGES" / "messages.po"
    return read_po(BytesIO(file.read_bytes()), locale=language)


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_every_text_is_translated(language: str) -> None:
    known = {
        message.id if isinstance(message.id, str) else message.id[0]: message
        for message in catalogue(language)
        if message.id
    }

    assert texts() - set(known) == set(), "run make messages, then translate"
    assert set(known) - texts() == set(), "run make messages: these texts are gone"
    for key, message in known.items():
        strings = [message.string] if isinstance(message.string, str) else list(message.string)
        assert all(strings), f"{language}: {key!r} is not translated"
        assert not message.fuzzy, f"{language}: {key!r} is doubtful"


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_translations_keep_the_places_to_fill_in(language: str) -> None:
    for message in catalogue(language):
        if not message.id:
            continue
        pairs = (
            [(message.id, message.string)]
            if isinstance(message.id, str)
            else zip(message.id, message.string, strict=True)
        )
        for source, translated in pairs:
            wanted, found = (set(re.findall(r"%\(\w+\)s", text)) for text in (source, translated))
            assert wanted == found or (wanted | found == {"%(num)s"}), (source, translated)


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("nl", "donderdag 3 december, 10:20"),
        ("fr", "jeudi 3 décembre, 10:20"),
        ("de", "Donnerstag, 3. Dezember, 10:20"),
        ("en", "Thursday 3 December, 10:20"),
    ],
)
def test_a_moment_is_said_as_people_say_it(language: str, said: str) -> None:
    at = datetime(2026, 12, 3, 9, 20, tzinfo=UTC)

    assert spoken.moment(at, "Europe/Brussels", language, date(2026, 11, 23)) == said


def test_the_year_is_said_where_it_is_another_one() -> None:
    assert spoken.day(date(2027, 1, 4), "nl", date(2026, 11, 23)) == "maandag 4 januari 2027"


def test_the_first_of_a_month_in_french() -> None:
    assert spoken.day(date(2026, 12, 1), "fr", date(2026, 11, 23)) == "mardi 1er décembre"
    assert spoken.day(date(2026, 12, 11), "fr", date(2026, 11, 23)) == "vendredi 11 décembre"


def test_the_repeated_hour_says_which_it_is() -> None:
    first, second = (datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1))

    assert spoken.clock_time(first, "Europe/Brussels", "nl") == "02:30 (CEST)"
    assert spoken.clock_time(second, "Europe/Brussels", "nl") == "02:30 (CET)"
    assert spoken.clock_time(second.replace(hour=3), "Europe/Brussels", "nl") == "04:30"


@pytest.mark.parametrize(("language", "said"), [("nl", "€ 75"), ("fr", "75 €"), ("de", "75 €"), ("en", "€75")])
def test_amounts_stand_as_the_language_writes_them(language: str, said: str) -> None:
    assert spoken.euros(Decimal("75.00"), language).replace("\xa0", " ").replace("\u202f", " ") == said
    assert "12" in spoken.euros(Decimal("12.50"), language) and "50" in spoken.euros(Decimal("12.50"), language)
