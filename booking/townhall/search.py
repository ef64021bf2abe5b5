"""Finding a service by what people type: their words, any language, accents, slips and compounds forgiven.

Words are compared by the pieces that they share, as written, as heard and by consonants; a rare piece says more than a
common one. So "rijbewijs verniewen" is nearest to "rijbewijs vernieuwen", "vergunning teras" to "terrasvergunning".
A word that no text knows stands for the known ones next to it as well; small words hardly count; a separated verb is
put together. Texts of all languages lie in one index, so the language of the question does not matter.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from booking.townhall.models import Service, ServiceText
from booking.townhall.small_words import PARTICLES, SMALL_WORDS
from booking.townhall.spelling import Vocabulary, is_written, pieces, words_in

MOST_WORDS = 20
FOUND = 0.5  # a query is answered when one of its words has more than this share of its written pieces in a service
LIKE = 0.55  # then all services answer that have more than this share of all pieces of one word
KEPT = 1 / 3  # of the best score: what has less is left out
_FIELDS = {"name": 2.0, "words": 1.6, "summary": 0.5, "who": 0.3}
_HEARD = 0.4  # what only sounds alike weighs less
_SMALL = 0.15
_POWER = 3  # how slowly a piece gains weight with the words of a service that have it

Texts = tuple[tuple[float, str], ...]  # what is read about a service in one language, with its weight


@dataclass(frozen=True)
class Index:
    """For each piece of a word: the services in which it stands, each with its weight times how rare the piece is."""

    places: dict[str, dict[int, float]]
    vocabulary: Vocabulary


def index(services: Sequence[Service]) -> Index:
    """The index of the services in all their languages; made anew only when one of their texts has changed."""
    return _index(tuple((service.id, tuple(tuple(_texts(text)) for text in service.texts)) for service in services))


def ranking(index: Index, query: str) -> list[int]:
    """The ids of the services that answer the query, best first; empty when none has anything to do with it.

    None has when no typed word, or known word next to one, is half found in any service as it is written.
    """
    scores: Counter[int] = Counter()
    answering: set[int] = set()
    is_found = False
    typed = list(dict.fromkeys(words_in(query)[:MOST_WORDS]))
    for word in [*typed, *_put_together(typed, index.vocabulary)]:
        best: dict[int, float] = {}
        for meant in (word, *index.vocabulary.near(word)):
            match = _match(index, meant)
            is_found = is_found or match.is_found
            answering |= match.alike
            for id, score in match.scores.items():
                best[id] = max(best.get(id, 0.0), score)
        scores.update(best)
    if not is_found:
        return []
    top = max((scores[id] for id in answering), default=0.0)
    return sorted((id for id in answering if scores[id] >= top * KEPT), key=lambda id: (-scores[id], id))


@dataclass(frozen=True)
class _Match:
    """A word against the index: what it is worth at each service, which have most of it, and whether one has it."""

    scores: dict[int, float]
    alike: set[int]
    is_found: bool


def _match(index: Index, word: str) -> _Match:
    scores: dict[int, float] = {}
    shared: Counter[int] = Counter()
    written: Counter[int] = Counter()
    cut = pieces(word)
    for piece in cut:
        places = index.places.get(piece, {})
        shared.update(places.keys())
        if is_written(piece):
            written.update(places.keys())
        for id, weight in places.items():
            scores[id] = scores.get(id, 0.0) + weight
    if word in SMALL_WORDS:
        return _Match({id: score * _SMALL for id, score in scores.items()}, set(), is_found=False)
    enough = sum(map(is_written, cut)) * FOUND
    alike = {id for id, count in shared.items() if count > len(cut) * LIKE}
    return _Match(scores, alike, any(count > enough for count in written.values()))


def _put_together(typed: Sequence[str], vocabulary: Vocabulary) -> list[str]:
    """Verbs that a sentence has taken apart, where one that begins like it is known: "zieht … um" is "umzieht"."""
    verbs = [word for word in typed if len(word) > 3 and word not in SMALL_WORDS]
    whole = [particle + verb for particle in typed if particle in PARTICLES for verb in verbs]
    return [word for word in whole if vocabulary.begins(word[: max(5, len(word) - 2)])]


def _texts(text: ServiceText) -> Iterator[tuple[float, str]]:
    for field, weight in _FIELDS.items():
        value = getattr(text, field)
        yield weight, " ".join(value) if isinstance(value, list) else value


@lru_cache(maxsize=16)
def _index(services: tuple[tuple[int, tuple[Texts, ...]], ...]) -> Index:
    places: dict[str, dict[int, float]] = {}
    known = set(SMALL_WORDS)
    for id, languages in services:
        for texts in languages:
            words = _words(texts)
            known |= words.keys()
            for piece, weight in _weights(words).items():
                weights = places.setdefault(piece, {})
                weights[id] = max(weights.get(id, 0.0), weight)
    for weights in places.values():
        rarity = math.log(1 + (len(services) - len(weights) + 0.5) / (len(weights) + 0.5))
        for id in weights:
            weights[id] *= rarity
    return Index(places, Vocabulary(known))


def _weights(words: Mapping[str, float]) -> dict[str, float]:
    """The pieces of the words: one that several words share weighs more than in the weightiest, less than their sum."""
    totals: defaultdict[str, float] = defaultdict(float)
    for word, weight in words.items():
        for piece in pieces(word):
            totals[piece] += (weight * (1.0 if is_written(piece) else _HEARD)) ** _POWER
    return {piece: total ** (1 / _POWER) for piece, total in totals.items()}


def _words(texts: Texts) -> dict[str, float]:
    """Each word with the weight of the weightiest text in which it stands."""
    weights = {word: weight for weight, text in sorted(texts) for word in words_in(text)}
    return {word: weight * (_SMALL if word in SMALL_WORDS else 1) for word, weight in weights.items()}
