"""Every message in every language, opened and read as a citizen would: whole sentences, nothing missing, nothing odd.

The words do not depend on the database, so one is enough.
"""

from __future__ import annotations

import re
from dataclasses import replace
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from pathlib import Path
from shutil import copy

import pytest
from flask import Flask

from booking.appointments.booking import Citizen
from booking.appointments.models import Appointment
from booking.config import Settings
from booking.db import db
from booking.delivery.email import Envelope, letter
from booking.delivery.segments import DOUBLE, GSM_7, folded, segments
from booking.delivery.staff_letter import SAMPLE_FOR, StaffLetter, sample_staff, words_of
from booking.delivery.wording import Wording, wording
from booking.outbox.models import TO_STAFF, Kind
from booking.townhall.models import Municipality, Office, ServiceText
from tests.conftest import MONDAY, Clock
from tests.factories import Town
from tests.test_messages import ALICE, booked

pytestmark = pytest.mark.messages

LANGUAGES = ("nl", "fr", "de", "en")
KINDS = pytest.mark.parametrize("kind", [one for one in Kind if one not in TO_STAFF], ids=lambda kind: str(kind.value))
STAFF_KINDS = pytest.mark.parametrize("kind", sorted(TO_STAFF), ids=lambda kind: str(kind.value))
TONGUES = pytest.mark.parametrize("language", LANGUAGES)
CODE = re.compile(r"%\(|%[sd]|\{|\}|\bNone\b|\bTrue\b|\bFalse\b|_|<|>|&\w+;|\bnull\b|\bundefined\b|0x|Error|datetime")
WORDS = {"nl": "uw afspra", "fr": "votre rendez-vous", "de": "ihr", "en": "your appointment"}
LINK = re.compile(r"https?://\S+")


@pytest.fixture
def database(sqlite_template: Path, tmp_path: Path) -> str:
    copy(sqlite_template, tmp_path / "balie.sqlite")
    return f"sqlite:///{tmp_path / 'balie.sqlite'}"


class Shown(HTMLParser):
    """What a mail program shows of the HTML part."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        self.is_head = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.is_head = tag in ("head", "title", "meta") or (self.is_head and tag != "body")
        assert tag not in ("img", "script", "link", "iframe", "form"), "nothing that fetches or tracks"
        assert "url(" not in str(given.get("style"))
        if tag == "a":
            self.links.append(given["href"] or "")

    def handle_data(self, data: str) -> None:
        self.words += [] if self.is_head else data.split()


def said(app: Flask, kind: Kind, appointment: Appointment) -> Wording:
    settings: Settings = app.extensions["balie"]["settings"]
    return wording(kind, [appointment], settings, [appointment] if kind == Kind.LIST else ())


def opened(words: Wording) -> EmailMessage:
    """The letter as a mail program opens it."""
    envelope = Envelope(
        Address("Testdorp", addr_spec="balie@example.org"), "ann@example.org", "d@example.org", "balie-1"
    )
    parsed = message_from_bytes(letter(words, envelope, MONDAY), policy=default)
    assert isinstance(parsed, EmailMessage)
    return parsed


@TONGUES
@KINDS
def test_every_message_reads_well_in_every_language(
    context: Flask, town: Town, clock: Clock, language: str, kind: Kind
) -> None:
    appointment = booked(town, clock, replace(ALICE, language=language), town.wedding_id)

    mail = opened(said(context, kind, appointment))

    plain, html = (mail.get_body((part,)) for part in ("plain", "html"))
    assert plain is not None and html is not None
    text, shown = plain.get_content().replace("\r\n", "\n"), Shown(html.get_content())
    for words in (str(mail["Subject"]), LINK.sub("", text), " ".join(shown.words)):
        assert not CODE.search(words), words
    assert WORDS[language] in " ".join(text.split()).lower()
    assert "\n\n\n" not in text and not text.startswith("\n") and text.rstrip("\n") == text.strip()
    assert all(
        (line == line.strip() and not line.endswith((":", ","))) or "\n" + line in text for line in text.split("\n")
    )
    assert all(sentence[:1].isupper() for sentence in re.findall(r"(?<=[.?!] )\S+", LINK.sub("X", text)))
    assert f"/testdorp/{language}/b/" in text and shown.links == LINK.findall(text)[: len(shown.links)]


@TONGUES
@KINDS
def test_both_parts_of_a_letter_say_the_same(
    context: Flask, town: Town, clock: Clock, language: str, kind: Kind
) -> None:
    assert_the_parts_say_the_same(said(context, kind, booked(town, clock, replace(ALICE, language=language))))


@TONGUES
@STAFF_KINDS
def test_letters_to_staff_read_well_in_every_language(
    context: Flask, town: Town, clock: Clock, language: str, kind: Kind
) -> None:
    municipality = db.session.get_one(Municipality, town.municipality_id)
    found = StaffLetter(
        municipality, "alex@example.org", None, sample_staff(municipality, language, clock()), clock() + SAMPLE_FOR
    )

    words = words_of(kind, found, context.extensions["balie"]["settings"])

    for text in (words.subject, LINK.sub("", words.text), " ".join(Shown(words.html).words)):
        assert not CODE.search(LINK.sub("", text)), text
    assert "Testdorp" in words.subject and len(LINK.findall(words.text)) == 1
    assert "\n\n\n" not in words.text
    assert_the_parts_say_the_same(words)


def assert_the_parts_say_the_same(words: Wording) -> None:
    def letters(text: str) -> set[str]:
        return set(re.findall(r"\w+", LINK.sub("", text)))

    assert letters(words.text) - letters(" ".join(Shown(words.html).words)) == set()


@TONGUES
@KINDS
def test_a_text_message_takes_one_part_and_names_neither_person_nor_service(
    context: Flask, town: Town, clock: Clock, language: str, kind: Kind
) -> None:
    appointment = booked(town, clock, replace(ALICE, language=language), town.wedding_id)

    words = said(context, kind, appointment)

    assert set(words.short) <= GSM_7 | DOUBLE, set(words.short) - GSM_7
    assert segments(words.short) == 1, words.short
    asks_for_nothing = kind == Kind.LATE
    assert "Testdorp" in words.short and (asks_for_nothing or f"/{language}/b/" in words.short)
    assert not CODE.search(LINK.sub("", words.short)), words.short
    for secret in ("Wedding", "Alice", "Peeters", str(appointment.booking.reference)):
        assert secret not in words.short + words.subject


@TONGUES
def test_a_letter_tells_when_where_what_for_what_to_bring_and_how_to_change_it(
    context: Flask, town: Town, clock: Clock, language: str
) -> None:
    text = said(context, Kind.CONFIRMATION, booked(town, clock, replace(ALICE, language=language))).text

    for fact in ("10:00", "Marktplein 1, 1000 Testdorp", f"Passport ({language})", "identity card", "+32 15 00 00 00"):
        assert fact in text
    assert re.search(r"\b\w{2} \w{2} \w{3}\b", text) and re.search(r": \d{4}\n", text)  # reference and code
    assert "2026" in text.split("+32")[1]  # when data are erased


@TONGUES
def test_a_fact_that_is_missing_leaves_no_gap(context: Flask, town: Town, clock: Clock, language: str) -> None:
    municipality = db.session.get_one(Municipality, town.municipality_id)
    municipality.phone, db.session.get_one(Office, town.office_id).address = "", ""
    for text in db.session.query(ServiceText):
        text.bring = []
    db.session.commit()
    appointment = booked(town, clock, replace(ALICE, language=language))

    words = said(context, Kind.CONFIRMATION, appointment)

    assert "\n\n\n" not in words.text and ", \n" not in words.text and ":\n\n" not in words.text
    assert "  " not in words.text and "None" not in words.text + words.html
    assert not re.search(r"<(p|ul|h2|tr|td|li)[^>]*>\s*</\1>", words.html)


def test_a_town_may_write_to_all_in_its_own_language(context: Flask, town: Town, clock: Clock) -> None:
    appointment = booked(town, clock, replace(ALICE, language="fr"))
    assert "Votre rendez-vous" in said(context, Kind.CONFIRMATION, appointment).text

    db.session.get_one(Municipality, town.municipality_id).speaks = "authoritative"
    db.session.commit()

    words = said(context, Kind.CONFIRMATION, appointment)
    assert "Uw afspraak" in words.text and "/testdorp/nl/b/" in words.short


def test_the_place_is_left_out_before_a_text_message_takes_two_parts(context: Flask, town: Town, clock: Clock) -> None:
    db.session.get_one(Office, town.office_id).names = {"nl": "Dienstencentrum in de verbouwde kerk van Sint-Job"}
    db.session.commit()

    short = said(context, Kind.REMINDER, booked(town, clock, ALICE)).short

    assert "kerk" not in short and segments(short) == 1


def test_two_appointments_of_one_booking_stand_in_one_letter(context: Flask, town: Town, clock: Clock) -> None:
    first = booked(town, clock, ALICE)
    second = booked(town, clock, ALICE, town.wedding_id)
    settings: Settings = context.extensions["balie"]["settings"]

    words = wording(Kind.CONFIRMATION, [first, second], settings)

    assert words.text.count("Marktplein 1") == 2 and words.text.count("identity card") == 1
    assert "Passport (nl)" in words.text and "Wedding (nl)" in words.text


@pytest.mark.parametrize("name", ["Zoë 🎉", "\u202eesrever", 'A "quoted" <b>name</b>', "x" * 120])
def test_a_name_stands_in_no_message(context: Flask, town: Town, clock: Clock, name: str) -> None:
    words = said(context, Kind.CONFIRMATION, booked(town, clock, Citizen(name, "nl", email="ann@example.org")))

    assert all(name not in part for part in (words.subject, words.text, words.html, words.short))


def test_the_name_of_a_service_cannot_break_the_page(context: Flask, town: Town, clock: Clock) -> None:
    for text in db.session.query(ServiceText):
        text.name = "<script>alert(1)</script> & more"
    db.session.commit()

    words = said(context, Kind.CONFIRMATION, booked(town, clock, ALICE))

    assert "<script" not in words.html and "<script>alert(1)</script> & more" in words.text


# ---- parts of a text message


def test_letters_that_a_text_message_lacks_are_folded_where_it_stays_readable() -> None:
    assert folded("België, geïnformeerd: ça va, œuvre") == "Belgie, geinformeerd: ca va, oeuvre"
    assert folded("été à Liège, Straße") == "été à Liège, Straße"
    assert folded("„Prêt“ – ‘vite’…") == "\"Pret\" - 'vite'..."
    assert folded("Košice, Győr, São Paulo") == "Kosice, Györ, Sao Paulo".replace("ö", "o")
    assert folded("Łódź") == "Łódź"  # cannot be folded: it goes as it is, in wider letters


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" * 152 + "€" * 5, 2),  # a pair is never parted between two parts
        ("a" * 152 + "€" * 77, 3),
        ("ł" * 70, 1),
        ("ł" * 71, 2),
        ("ł" * 134, 2),
        ("ł" * 135, 3),
        ("🎉" * 35, 1),
        ("🎉" * 36, 2),
        ("ł" * 66 + "🎉" * 34, 3),
        ("[]{}~^|\\", 1),
    ],
)
def test_parts_are_counted_as_networks_count_them(text: str, parts: int) -> None:
    assert segments(text) == parts
