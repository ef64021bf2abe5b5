"""Finding a service by what people type: their words, any language, accents and small slips forgiven."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from booking.townhall.models import Service

CLOSE_ENOUGH = 0.5  # share of letter triples in common, at which a word counts as a misspelling
_FIELDS = {"name": 3.0, "words": 2.0, "summary": 0.5}


@dataclass(frozen=True)
class Entry:
    """One service and the words under which it is found, each with its weight."""

    service_id: int
    words: dict[str, float]


def folded(text: str) -> str:
    """Small letters without accents: "Führerschein" and "fuhrerschein" are one."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in plain if not unicodedata.combining(character))


def words_in(text: str) -> list[str]:
    return re.findall(r"\w+", folded(text))


def index(services: Sequence[Service]) -> list[Entry]:
    """The words of every service in all its languages: of its name, its search words and its summary."""
    entries = []
    for service in services:
        weights: dict[str, float] = {}
        for text in service.texts:
            for field, weight in _FIELDS.items():
                value = getattr(text, field)
                for word in words_in(" ".join(value) if isinstance(value, list) else value):
                    weights[word] = max(weights.get(word, 0.0), weight)
        entries.append(Entry(service.id, weights))
    return entries


def ranking(entries: Sequence[Entry], query: str) -> list[int]:
    """The ids of the services that answer the query, best first; empty when none has anything to do with it."""
    asked = words_in(query)
    if not asked:
        return []
    scores = [(_score(entry, asked), entry.service_id) for entry in entries]
    best = max((score for score, _ in scores), default=0.0)
    good = [(score, id) for score, id in scores if score > 0 and score >= best / 3]
    return [id for score, id in sorted(good, key=lambda pair: (-pair[0], pair[1]))]


def _score(entry: Entry, asked: Sequence[str]) -> float:
    return sum(max((_likeness(word, known) * w for known, w in entry.words.items()), default=0.0) for word in asked)


def _likeness(typed: str, known: str) -> float:
    """1 for the same word, less for a beginning, a part or a misspelling of it, 0 for anything else."""
    if typed == known:
        return 1.0
    if len(typed) < 3 or len(known) < 3:
        return 0.0
    if known.startswith(typed):
        return 0.8
    if typed in known or (len(known) > 4 and known in typed):
        return 0.6
    common, both = _triples(typed) & _triples(known), _triples(typed) | _triples(known)
    likeness = len(common) / len(both)
    return likeness * 0.6 if likeness >= CLOSE_ENOUGH else 0.0


def _triples(word: str) -> set[str]:
    padded = f"  {word} "
    return {padded[i : i + 3] for i in range(len(padded) - 2)}
