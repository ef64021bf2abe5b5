"""Finding a service by what people type: their words, any language, accents, slips and compounds forgiven.

Words are compared by the pieces of three and four letters that they share, and a rare piece says more than a common
one. So "rijbewijs verniewen" is nearest to "rijbewijs vernieuwen", "vergunning teras" to "terrasvergunning", and
"ik wil een" to nothing much.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from booking.townhall.models import Service

SIZES = (3, 4)
MOST_WORDS = 20
_FIELDS = {"name": 2.0, "words": 1.6, "summary": 0.5, "who": 0.3}

Texts = tuple[int, tuple[tuple[float, str], ...]]  # the id of a service, and what is read about it with its weight


@dataclass(frozen=True)
class Index:
    """For each piece of a word: the services in which it stands, each with its weight times how rare the piece is."""

    places: dict[str, dict[int, float]]


def folded(text: str) -> str:
    """Small letters without accents: "Führerschein" and "fuhrerschein" are one."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(character for character in plain if not unicodedata.combining(character))


def words_in(text: str) -> list[str]:
    return re.findall(r"\w+", folded(text))


def index(services: Sequence[Service]) -> Index:
    """The index of the services in all their languages; made anew only when one of their texts has changed."""
    return _index(tuple((service.id, tuple(_texts(service))) for service in services))


def ranking(index: Index, query: str) -> list[int]:
    """The ids of the services that answer the query, best first; empty when none has anything to do with it.

    A service answers when more than half of one typed word is found in it; all its pieces then count.
    """
    scores: Counter[int] = Counter()
    answering: set[int] = set()
    for word in dict.fromkeys(words_in(query)[:MOST_WORDS]):
        pieces = _pieces(word)
        found: Counter[int] = Counter()
        for piece in pieces:
            places = index.places.get(piece, {})
            scores.update(places)
            found.update(places.keys())
        answering |= {id for id, count in found.items() if count > len(pieces) / 2}
    best = max((scores[id] for id in answering), default=0.0)
    return sorted((id for id in answering if scores[id] >= best / 3), key=lambda id: (-scores[id], id))


def _texts(service: Service) -> list[tuple[float, str]]:
    found = []
    for text in service.texts:
        for field, weight in _FIELDS.items():
            value = getattr(text, field)
            found.append((weight, " ".join(value) if isinstance(value, list) else value))
    return found


@lru_cache(maxsize=16)
def _index(services: tuple[Texts, ...]) -> Index:
    places: dict[str, dict[int, float]] = {}
    for id, texts in services:
        for word, weight in _words(texts).items():
            for piece in _pieces(word):
                weights = places.setdefault(piece, {})
                weights[id] = max(weights.get(id, 0.0), weight)
    for weights in places.values():
        rarity = math.log(1 + (len(services) - len(weights) + 0.5) / (len(weights) + 0.5))
        for id in weights:
            weights[id] *= rarity
    return Index(places)


def _words(texts: Iterable[tuple[float, str]]) -> dict[str, float]:
    """Each word with the weight of the weightiest text in which it stands."""
    return {word: weight for weight, text in sorted(texts) for word in words_in(text)}


def _pieces(word: str) -> set[str]:
    padded = f" {word} "
    return {padded[i : i + size] for size in SIZES for i in range(len(padded) - size + 1)}
