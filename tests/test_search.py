"""Finding a service by what people type, over the real catalogue of the demo town."""

from __future__ import annotations

from functools import lru_cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.config import ROOT
from booking.townhall.catalogue import read_catalogue
from booking.townhall.models import Service, ServiceText
from booking.townhall.search import folded, index, ranking
from tests.factories import LANGUAGES

pytestmark = pytest.mark.townhall

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


def found(query: str) -> list[str]:
    """The keys of what is found, best first."""
    keys = {service.id: service.key for service in services()}
    return [keys[id] for id in ranking(index(services()), query)]


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
