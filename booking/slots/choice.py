"""Which counter gets the visit: the one whose taking leaves the office the most to offer on that day.

A visit costs a counter the starts at which its services could have begun. A lost start weighs the minutes of its
service, and the more, the less free time is left for that service at all counters that do it. So a gap that nothing
else fits is used first, one that is broken up is broken where it hurts least, and a counter that alone does a service
is kept for it. Starts off the grid and in gaps too short for a service are no loss: nobody could book them.

Pure: no database, no clock, no Flask. A mask is one integer, bit i is a tick of five minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

from booking.slots.timeline import between

EQUAL = 1.1  # a loss within a tenth of the least counts as equal: to be fair among these costs no minutes


@dataclass(frozen=True, slots=True)
class Candidate:
    """A counter on the local day of the visit; bit 0 of its masks is the first tick of that day."""

    id: int
    open: int  # when it serves
    taken: int  # with the buffers behind its visits
    grid: int  # where a visit may begin
    buffer: int  # ticks kept free after a visit
    lengths: Mapping[int, int]  # the services it does, by id: ticks for one person

    @property
    def free(self) -> int:
        return self.open & ~self.taken


def best(fitting: Sequence[Candidate], counters: Sequence[Candidate], visit: range, day: range) -> Candidate | None:
    """Of the counters at which the visit fits the one that loses least by it, or None where it fits at none.

    `counters` are all of the office, the fitting ones among them. `visit` (without its buffer) and the local `day`
    on which it begins are ticks. Among equals the least busy of that day; then the lot, the same for the same tick.
    """
    if len(fitting) < 2:
        return fitting[0] if fitting else None
    today = between(0, len(day))
    room = _room(counters, today)
    bits = range(visit.start - day.start, visit.stop - day.start)
    losses = [_loss(one, bits, room) for one in fitting]
    bound = min(losses) * EQUAL
    equals = [one for one, loss in zip(fitting, losses, strict=True) if loss <= bound]
    return _fairest(equals, today, visit.start) if len(equals) > 1 else equals[0]


def lost_starts(counter: Candidate, visit: range, lengths: Iterable[int]) -> list[int]:
    """How many starts of visits of each length the counter would lose to the visit (bits), in the gap around it."""
    opens, closes = _gap(counter, visit.start)
    before, after = visit.start - counter.buffer + 1, visit.stop + counter.buffer
    found = []
    for length in lengths:
        first = max(opens, before - length)
        count = min(after, closes - length + 1) - first
        found.append((counter.grid >> first & ((1 << count) - 1)).bit_count() if count > 0 else 0)
    return found


def _gap(counter: Candidate, bit: int) -> tuple[int, int]:
    """The first bit of the gap around this free bit, and the bit at which a visit in it must have ended."""
    closed = ~counter.free
    later, taken = closed >> bit, counter.taken >> bit
    opens, closes = (closed & ((1 << bit) - 1)).bit_length(), bit + _lowest(later)
    return opens, min(closes, bit + _lowest(taken) - counter.buffer) if taken else closes


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _room(counters: Iterable[Candidate], today: int) -> dict[int, int]:
    """The free ticks of today by service, over all counters that do it."""
    room: dict[int, int] = {}
    for counter in counters:
        free = (counter.free & today).bit_count()
        for service in counter.lengths:
            room[service] = room.get(service, 0) + free
    return room


def _loss(counter: Candidate, visit: range, room: Mapping[int, int]) -> float:
    """The starts that the counter would lose: each weighs its ticks against the room left for its service."""
    weights: dict[int, float] = {}
    for service, length in counter.lengths.items():
        weights[length] = weights.get(length, 0) + length / room[service]
    lost = lost_starts(counter, visit, weights)
    return sum(weight * count for weight, count in zip(weights.values(), lost, strict=True))


def _fairest(equals: Iterable[Candidate], today: int, tick: int) -> Candidate:
    """The least busy of today; of several the one on whom the lot of this tick falls."""
    busy = [((one.taken & today).bit_count(), one.id, one) for one in equals]
    least = min(ticks for ticks, _, _ in busy)
    drawn = sorted(((id, one) for ticks, id, one in busy if ticks == least), key=lambda pair: pair[0])
    return drawn[crc32(tick.to_bytes(8, "big")) % len(drawn)][1]
