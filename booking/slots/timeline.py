"""Slot arithmetic: a stretch of ticks is one Python integer, bit i is the tick `base + i`.

Pure: no database, no clock, no Flask. `free = open & ~taken`; where a visit of k ticks fits is found by
about log2(k) shifts; any of several counters is OR.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_BITS = [tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256)]


def mask_of(stretches: Iterable[range], base: int) -> int:
    """The integer in which the ticks of the stretches are set; what lies before `base` is cut off."""
    mask = 0
    for stretch in stretches:
        first, end = max(stretch.start - base, 0), stretch.stop - base
        if end > first:
            mask |= ((1 << (end - first)) - 1) << first
    return mask


def starts(free: int, length: int) -> int:
    """The ticks at which `length` ticks in a row are free."""
    if length < 1:
        raise ValueError(f"A visit takes at least one tick, not {length}.")
    known = 1
    while known < length and free:
        step = min(known, length - known)
        free &= free >> step
        known += step
    return free


def between(first: int, end: int) -> int:
    """The integer in which the bits first … end-1 are set."""
    return ((1 << max(end, 0)) - 1) & ~((1 << max(first, 0)) - 1)


def ticks_in(mask: int, base: int) -> Iterator[int]:
    """The set ticks, earliest first."""
    for at, byte in enumerate(mask.to_bytes((mask.bit_length() + 7) // 8, "little")):
        if byte:
            first = base + 8 * at
            for bit in _BITS[byte]:
                yield first + bit


def first_in(mask: int, base: int) -> int | None:
    """The earliest set tick, or None."""
    return base + (mask & -mask).bit_length() - 1 if mask else None


def room_around(free: int, start: int, length: int) -> int:
    """How many free ticks the stretch start … start+length-1 (bits) would leave over to its left and right."""
    end = start + length
    right = _ones_from(free >> end)
    left = 0
    while start - left > 0 and free >> (start - left - 1) & 1:
        left += 1
    return left + right


def _ones_from(mask: int) -> int:
    """How many bits are set in a row from bit 0."""
    return (~mask & (mask + 1)).bit_length() - 1
