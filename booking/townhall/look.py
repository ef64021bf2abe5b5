"""The colour of a municipality: whether it can be read, and what follows from it in the light and in the dark."""

from __future__ import annotations

import re

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
LEAST = 4.5  # contrast of text with its ground, WCAG 2.2 1.4.3
GOOD = 7.0

Colour = tuple[int, int, int]


def colour(text: str) -> Colour:
    """ "#12594d" as red, green and blue. Raises ValueError."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise ValueError(text)
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def contrast(one: Colour, other: Colour) -> float:
    """From 1 (the same) to 21 (black and white), as WCAG 2.2 counts it."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def style_sheet(accent: str) -> str:
    """The tokens of a look with this colour; in the dark a lighter one of the same hue."""
    base = colour(accent)
    lighter = next(mixed for part in range(0, 101, 5) if contrast(mixed := _mix(base, WHITE, part), BLACK) >= GOOD)
    return (
        f":root {{ {_tokens(base, _mix(base, WHITE, 93))} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {_tokens(lighter, _mix(base, BLACK, 75))} }} }}\n"
    )


def _tokens(accent: Colour, quiet: Colour) -> str:
    names = ("--look-accent", "--kern-color-action-default", "--kern-color-action-visited")
    return " ".join(f"{name}: {_written(accent)};" for name in names) + f" --look-accent-quiet: {_written(quiet)};"


def _mix(one: Colour, other: Colour, percent: int) -> Colour:
    red, green, blue = (a + (b - a) * percent // 100 for a, b in zip(one, other, strict=True))
    return red, green, blue


def _written(found: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*found)


def _luminance(found: Colour) -> float:
    parts = [part / 255 for part in found]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
