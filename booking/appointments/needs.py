"""What people need to be able to come: it makes an appointment longer, or leads to an office that is built for it.

Staff see it and get ready. It is erased as soon as the appointment is over, before everything else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from booking.appointments.offers import Demand
from booking.townhall.models import Municipality

LONGER = frozenset({"extra_time", "interpreter"})
BUILT = frozenset({"step_free", "loop"})  # as offices say it in their `access`
NEEDS = (*sorted(LONGER), *sorted(BUILT), "fetch")  # the last: come and fetch me


def needs_in(words: str | None) -> frozenset[str]:
    """The needs that a row names."""
    return frozenset((words or "").split()) & frozenset(NEEDS)


def words_of(needs: Iterable[str]) -> str | None:
    """The needs as a row names them; None where there are none."""
    return " ".join(need for need in NEEDS if need in needs) or None


def binding(needs: frozenset[str]) -> frozenset[str]:
    """Those that change the length of an appointment, or where it can be."""
    return needs & (LONGER | BUILT)


def with_needs(demand: Demand, needs: frozenset[str], municipality: Municipality) -> Demand:
    """What somebody with these needs asks for. What no office of the town has cannot be asked for: staff help out."""
    built = {need for need in needs & BUILT if any(need in office.access for office in municipality.offices)}
    return replace(demand, needs=frozenset(built), extra=municipality.extra_minutes if needs & LONGER else 0)
