"""Text messages by the part: which letters there are, what is folded into them, and how many parts a text takes.

GSM 03.38: 160 letters of seven bits, or 70 of sixteen where one is not among them; joined parts hold a little less.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

GSM_7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
DOUBLE = frozenset("€[]{}~^|\\\f")  # each takes two places, which are never parted
_PLAINER = str.maketrans({"œ": "oe", "Œ": "OE", "’": "'", "‘": "'", "“": '"', "”": '"', "„": '"', "–": "-", "—": "-"})


def folded(text: str) -> str:
    """The text in the letters that a text message can hold at 160 a part, where it stays readable: "Belgie"."""
    plainer = "".join(_fold(letter) for letter in text.translate(_PLAINER))
    return plainer if set(plainer) <= GSM_7 | DOUBLE else text


def segments(text: str) -> int:
    """How many parts the text is sent, and paid for, in."""
    if set(text) <= GSM_7 | DOUBLE:
        return _parts([2 if letter in DOUBLE else 1 for letter in text], 160, 153)
    return _parts([2 if ord(letter) > 0xFFFF else 1 for letter in text], 70, 67)


def _parts(widths: list[int], alone: int, joined: int) -> int:
    if sum(widths) <= alone:
        return 1
    parts = used = 0
    for width in widths:
        if not parts or used + width > joined:
            parts, used = parts + 1, 0
        used += width
    return parts


@lru_cache(maxsize=4096)
def _fold(letter: str) -> str:
    """The letter without its marks, where it is not itself among those of a text message."""
    if letter in GSM_7 or letter in DOUBLE:
        return letter
    bare = "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))
    return bare if bare and set(bare) <= GSM_7 else letter
