"""Secret links: tokens derived from a key outside the database, so that a leaked database opens nothing.

A token is HMAC-SHA256 of (purpose, id, generation), cut to 160 bits. The database holds the generation only:
raising it revokes every token given before. Old keys go on verifying until they are taken out of the settings.
"""

from __future__ import annotations

import base64
import hmac
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass

Keys = tuple[bytes, ...]


@dataclass(frozen=True)
class Claim:
    """What a genuine token says. Whether its generation is still the current one, only the row knows."""

    id: int
    generation: int


def token(keys: Keys, purpose: str, id: int, generation: int) -> str:
    """The secret path part for one row: "<id>-<generation>-<32 letters and digits>"."""
    return f"{id}-{generation}-{_mac(keys[0], purpose, id, generation)}"


def claim(keys: Keys, purpose: str, given: str) -> Claim | None:
    """What the token claims, or None if we never gave it out. Compared in constant time."""
    parts = given.split("-")
    if not given.isascii() or len(parts) != 3 or not _is_number(parts[0]) or not _is_number(parts[1]):
        return None
    found = Claim(int(parts[0]), int(parts[1]))
    genuine = [hmac.compare_digest(given, token((key,), purpose, found.id, found.generation)) for key in keys]
    return found if any(genuine) else None


def code(key: bytes, id: int, generation: int) -> str:
    """The four digits that open a booking together with its reference; derived like a token."""
    return f"{int.from_bytes(_digest(key, 'code', id, generation)[:8]) % 10_000:04d}"


def is_code(keys: Keys, given: str, id: int, generation: int) -> bool:
    return given.isascii() and any([hmac.compare_digest(given, code(key, id, generation)) for key in keys])


def derived_key(key: bytes, purpose: str) -> str:
    """A key for another library, so that one leak does not open the other."""
    return hmac.digest(key, f"key:{purpose}".encode(), "sha256").hex()


def pseudonym(key: bytes, purpose: str, text: str) -> str:
    """The same 32 characters for the same text, which do not give the text away: to count without storing it."""
    return hmac.digest(key, f"pseudonym:{purpose}:{text}".encode(), "sha256").hex()[:32]


def _is_number(text: str) -> bool:
    return text.isdigit() and len(text) <= 18


def _digest(key: bytes, purpose: str, id: int, generation: int) -> bytes:
    return hmac.digest(key, f"token:{purpose}:{id}:{generation}".encode(), "sha256")


def _mac(key: bytes, purpose: str, id: int, generation: int) -> str:
    return base64.b32encode(_digest(key, purpose, id, generation)[:20]).decode().lower()


def town_address(url: str, hosts: Mapping[str, str], slug: str) -> str:
    """Where a municipality is found from outside: its own host, else its part of the common address."""
    own = next((host for host, town in hosts.items() if town == slug), None)
    scheme = url.partition("://")[0]
    return f"{scheme}://{own}" if own else f"{url}/{slug}"


def own_path(language: str, booking_token: str) -> str:
    """The path of a booking's own page; short, because it stands in text messages."""
    return f"/{language}/b/{booking_token}"


def join_path(staff_token: str) -> str:
    """The path on which a member of staff chooses a password."""
    return f"/staff/join/{staff_token}"


def find_path(language: str) -> str:
    """The path of the page that opens a booking with its reference and its code."""
    return f"/{language}/find"


_TOKEN = re.compile(r"\d+-\d+-[a-z2-7]{32}")


def without_tokens(text: str) -> str:
    """The text as one may read it who should not open what it links to."""
    return _TOKEN.sub("…", text)


def masked(record: logging.LogRecord) -> bool:
    """A filter for logs: what looks like a token is not written down."""
    record.msg, record.args = _TOKEN.sub("(a secret link)", record.getMessage()), ()
    return True
