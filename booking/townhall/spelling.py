"""How words are written, heard and mistyped: folding, pieces, and the known words next to a slip.

A word has three views, each cut into pieces: as it is written, as it sounds, and its consonants alone. The sounds are
those that people confuse in Dutch, French, German and English, coarse on purpose: both sides are folded alike.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache

WRITTEN, HEARD, CONSONANTS = "", "~", "^"
_SIZES = {WRITTEN: (3, 4), HEARD: (2, 3), CONSONANTS: (2, 3)}
_SOUNDS = (
    ("sch", "s"), ("eau", "o"), ("ph", "f"), ("ck", "k"), ("qu", "k"), ("th", "t"), ("dt", "t"), ("ij", "i"),
    ("ei", "i"), ("ae", "a"), ("oe", "o"), ("ue", "u"), ("ou", "u"), ("au", "o"),
)  # fmt: skip
_ALIKE = str.maketrans("czvwyqdj", "ksffikti")
SHORTEST = 4  # letters of a word that may be a slip of another
LONG = 8  # from here on two slips are forgiven


def folded(text: str) -> str:
    """Small letters without accents: "Führerschein" and "fuhrerschein" are one."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(character for character in plain if not unicodedata.combining(character))


def words_in(text: str) -> list[str]:
    return re.findall(r"\w+", folded(text))


@lru_cache(maxsize=8192)
def pieces(word: str) -> frozenset[str]:
    """The pieces of a word in its three views; those that are heard begin with their view's sign."""
    heard = _heard(word)
    return frozenset(
        [*_cut(WRITTEN, word), *_cut(HEARD, heard), *_cut(CONSONANTS, re.sub("[aeiou]", "", heard))],
    )


def is_written(piece: str) -> bool:
    """Whether the piece is of a word as it is written."""
    return piece[0] not in (HEARD, CONSONANTS)


def _cut(view: str, word: str) -> Iterator[str]:
    padded = f" {word} "
    for size in _SIZES[view]:
        for at in range(len(padded) - size + 1):
            yield view + padded[at : at + size]


def _heard(word: str) -> str:
    for letters, sound in _SOUNDS:
        word = word.replace(letters, sound)
    return re.sub(r"(.)\1+", r"\1", word.translate(_ALIKE))


class Vocabulary:
    """The words that are known, and the nearest of them to one that is not."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = frozenset(words)
        self._by_pair: dict[str, list[str]] = {}
        for word in self._words:
            for pair in _pairs(word):
                self._by_pair.setdefault(pair, []).append(word)

    def __contains__(self, word: str) -> bool:
        return word in self._words

    def begins(self, beginning: str) -> bool:
        """Whether a known word begins like this."""
        return any(word.startswith(beginning) for word in self._words)

    def near(self, word: str) -> list[str]:
        """The known words that an unknown one may be a slip of; none for short words and numbers."""
        if word in self._words or len(word) < SHORTEST or word.isdigit():
            return []
        least = 2 if len(word) >= LONG else 1
        shared: Counter[str] = Counter()
        for pair in _pairs(word):
            shared.update(self._by_pair.get(pair, ()))
        enough = max(len(word) - 3 * least, 1)  # a slip spoils three pairs at most
        found: list[str] = []
        for known, count in shared.items():
            slips = _slips(word, known, least) if count >= enough else least + 1
            if slips < least:
                least, found = slips, [known]
            elif slips == least:
                found.append(known)
        return sorted(found)


def _pairs(word: str) -> set[str]:
    padded = f" {word} "
    return {padded[at : at + 2] for at in range(len(padded) - 1)}


def _slips(one: str, other: str, most: int) -> int:
    """Letters too many, missing, wrong or swapped between two words; beyond `most` it stops counting."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        this = [i]
        for j, wanted in enumerate(other, 1):
            slips = min(row[j] + 1, this[-1] + 1, row[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                slips = min(slips, before[j - 2] + 1)
            this.append(slips)
        if min(this) > most:
            return most + 1
        before, row = row, this
    return row[-1]
