"""Finding a service by what people type, over the real catalogue of the demo town."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.config import ROOT
from booking.townhall.catalogue import read_catalogue
from booking.townhall.models import Service, ServiceText
from booking.townhall.search import index, ranking
from booking.townhall.spelling import folded
from tests.factories import LANGUAGES

pytestmark = pytest.mark.townhall

QUESTIONS = ROOT / "tests" / "questions.txt"
PASSPORTS = {"passport_adult", "passport_minor", "passport_urgent", "passport_collect"}


@lru_cache
def services() -> tuple[Service, ...]:
    """The real services, as rows that no database has seen."""
    content = (ROOT / "booking" / "demo" / "services.csv").read_bytes()
    rows = read_catalogue(content, LANGUAGES, ("building", "civil", "economy"))
    return tuple(
        Service(
            id=row.line,
            texts=[ServiceText(language=language, **texts) for language, texts in row.texts.items()],
            **row.values,
        )
        for row in rows
    )


def found(query: str, among: tuple[Service, ...] | None = None) -> list[str]:
    """The keys of what is found, best first."""
    among = among or services()
    keys = {service.id: service.key for service in among}
    return [keys[id] for id in ranking(index(among), query)]


def questions() -> list[tuple[str, set[str]]]:
    """What people type, and the services that answer it."""
    lines = [line.split(" | ") for line in QUESTIONS.read_text().splitlines() if line and not line.startswith("#")]
    return [(words, set(keys.split())) for _language, words, keys in lines]


def hits(asked: list[tuple[str, set[str]]], among: tuple[Service, ...] | None = None) -> float:
    """The share of the questions that have one of their services among the first three."""
    return sum(bool(set(found(words, among)[:3]) & keys) for words, keys in asked) / len(asked)


def mistyped(words: str, lot: Random) -> str:
    """The words with one letter lost, doubled, swapped or wrong, but not the first."""
    letters = [at for at, letter in enumerate(words) if letter.isalpha()]
    at = lot.choice(letters[1:])
    following = words[at + 1 : at + 2]
    slips = ("", words[at] * 2, following + words[at], lot.choice("aeioutnrsl"))
    slip = lot.choice(range(4))
    return words[:at] + slips[slip] + words[at + (2 if slip == 2 else 1) :]


def without(words: set[str]) -> tuple[Service, ...]:
    """The services as if nobody had thought of these search words."""
    thinner = []
    for service in services():
        texts = [
            ServiceText(language=text.language, name=text.name, summary=text.summary, who=text.who, bring=text.bring,
                        words=[one for one in text.words if one not in words])
            for text in service.texts
        ]  # fmt: skip
        thinner.append(Service(id=service.id, key=service.key, texts=texts))
    return tuple(thinner)


def search_words() -> Iterator[tuple[str, set[str]]]:
    """Every search word of the catalogue with the services that have it."""
    owners: dict[str, set[str]] = {}
    for service in services():
        for text in service.texts:
            for word in text.words:
                owners.setdefault(word, set()).add(service.key)
    yield from sorted(owners.items())


def test_what_people_type_finds_what_they_mean_among_the_first_three() -> None:
    asked = questions()

    assert len(asked) == 160
    assert hits(asked) >= 0.95


def test_one_slip_in_what_people_type_costs_little() -> None:
    lot = Random(7)

    asked = [(mistyped(words, lot), keys) for words, keys in questions() for _ in range(3)]

    assert hits(asked) >= 0.92


def test_words_that_nobody_thought_of_are_found_by_what_else_is_written() -> None:
    """The method is not a list: an eighth of the catalogue's search words is taken out, and then asked for."""
    asked = list(search_words())
    Random(7).shuffle(asked)
    asked = asked[: len(asked) // 8]

    assert hits(asked, without({words for words, _keys in asked})) >= 0.67


@pytest.mark.parametrize("query", ["reispas", "paspoort", "passeport", "Reisepass", "passport", "  REISPAS!  "])
def test_a_passport_is_found_first_in_any_language(query: str) -> None:
    keys = found(query)

    assert set(keys[:2]) <= PASSPORTS
    assert set(keys) >= PASSPORTS


@pytest.mark.parametrize(
    ("plain", "typed"),
    [
        ("führerschein", "fuhrerschein"),
        ("identité", "IDENTITE"),
        ("straßenfest", "strassenfest"),
        ("geboorte", "geboortë"),
        ("carte d'identité", "carte d’identité"),
    ],
)
def test_accents_and_capitals_do_not_matter(plain: str, typed: str) -> None:
    assert found(plain) == found(typed) != []


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("rijbewijs hernieuwne", "driving_licence_renew"),
        ("verhuisen", "address_change"),
        ("pasport for my child", "passport_minor"),
        ("huwlijk aangifte", "marriage_declaration"),
        ("mariage declaration", "marriage_declaration"),
        ("acte de naisance", "civil_record_copy"),
        ("Fuhrerscheinn", "driving_licence_first"),
        ("orgaandonnatie", "organ_donation"),
    ],
)
def test_a_slip_is_forgiven(typed: str, wanted: str) -> None:
    assert wanted in found(typed)[:3]


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("vergunning terras", "terrace_permit"),
        ("nacht winkel", "night_shop"),
        ("vuurwerk afsteken op oudejaar", "fireworks"),
        ("Abmeldung Gewerbe", "business_close"),
        ("ich melde mein Gewerbe ab", "business_close"),
    ],
)
def test_a_compound_is_found_by_its_parts(typed: str, wanted: str) -> None:
    assert wanted in found(typed)[:3]


def test_small_words_do_not_drown_the_one_that_counts() -> None:
    assert found("ik wil graag een afspraak voor het ophalen van mijn reispas")[0] == "passport_collect"


@pytest.mark.parametrize("query", ["", "   ", "?!", "-", "xyzzy", "qwertyuiop", "zzzz", "12345", "kubernetes", "日本"])
def test_what_nobody_offers_finds_nothing(query: str) -> None:
    assert found(query) == []


def test_every_service_is_found_by_its_own_name() -> None:
    missed = [
        (service.key, text.name)
        for service in services()
        for text in service.texts
        if service.key not in found(text.name)[:3]
    ]

    assert missed == []


@given(st.sampled_from(services()), st.sampled_from(LANGUAGES), st.data())
def test_a_name_with_one_letter_lost_still_finds_its_service(
    service: Service, language: str, data: st.DataObject
) -> None:
    name = service.text(language).name
    at = data.draw(st.integers(0, len(name) - 1))

    assert service.key in found(name[:at] + name[at + 1 :])[:5]


@given(st.text(max_size=80))
def test_whatever_is_typed_is_answered(query: str) -> None:
    keys = found(query)

    assert len(keys) == len(set(keys))


def test_the_words_of_a_service_can_be_changed() -> None:
    text = ServiceText(language="en", name="Fishing licence", summary="", who="", bring=[], words=["rod"])
    service = Service(id=1, key="fishing", texts=[text])
    assert ranking(index([service]), "angling") == []

    text.words = ["rod", "angling"]

    assert ranking(index([service]), "angling") == [1]


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    assert folded(folded(text)) == folded(text)
