"""The logo of a municipality: any picture that comes in is drawn anew, so that nothing but pixels goes out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG", "WEBP")
MOST_BYTES = 900_000
MOST_PIXELS = 25_000_000  # looked at before the picture is unpacked
SMALLEST = 16
BOX = (960, 264)  # pixels: three times as large as it is shown


class NoPicture(Exception):
    """What came in is none of the formats, is broken, or of a size that we do not take."""


@dataclass(frozen=True)
class Drawn:
    """A PNG without anything that is not a pixel; `fingerprint` stands for its bytes."""

    content: bytes
    width: int
    height: int

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.content).hexdigest()[:32]


def as_drawn(content: bytes) -> Drawn:
    """A picture that drawn() made, from its bytes."""
    with Image.open(BytesIO(content), formats=("PNG",)) as found:
        return Drawn(content, *found.size)


def drawn(content: bytes) -> Drawn:
    """The picture, upright and no larger than needed. Raises NoPicture."""
    if not 0 < len(content) <= MOST_BYTES:
        raise NoPicture
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as found:
            if found.width * found.height > MOST_PIXELS:
                raise NoPicture
            upright = ImageOps.exif_transpose(found).convert("RGBA")
    except Exception as error:  # whatever a decoder says of broken bytes
        raise NoPicture from error
    upright.thumbnail(BOX)
    if min(upright.size) < SMALLEST:
        raise NoPicture
    clean = Image.new("RGBA", upright.size)
    clean.paste(upright)  # pixels only: no names, places, comments or profiles
    made = BytesIO()
    clean.save(made, "PNG", optimize=True)
    return Drawn(made.getvalue(), *clean.size)
