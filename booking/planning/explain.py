"""Why a time is offered or not, counter by counter, from the same masks that decide it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import or_, select

from booking.appointments.offers import Demand, bookable, offer
from booking.appointments.timelines import CounterLine, OfficeLines
from booking.db import db
from booking.slots.clock import tick_from, tick_of
from booking.slots.timeline import between, starts
from booking.townhall.models import Closure


class Why(StrEnum):
    """What decides about a time at one counter; the first that applies."""

    FREE = "free"
    CLOSURE = "closure"
    HOURS = "hours"  # outside the opening hours
    TOO_LONG = "too_long"  # the counter closes before the visit would be over
    GRID = "grid"  # appointments start on another minute
    WALK_INS = "walk_ins"  # kept back for those who come without an appointment
    UNRELEASED = "unreleased"  # citizens may book it later, or never
    BOOKED = "booked"
    HELD = "held"  # somebody is filling in the form
    FREED = "freed"  # given back, and not on offer again yet
    BUFFER = "buffer"  # too close before the next appointment


class Rule(StrEnum):
    """What a service itself rules out, whatever its counters do."""

    FINE = "fine"
    NO_TICK = "no_tick"  # no time begins between two steps of five minutes
    PAST = "past"
    NOTICE = "notice"
    TOO_FAR = "too_far"


@dataclass(frozen=True)
class Verdict:
    """The answer for one office: whether citizens are offered the time, the service's rule, and each counter's reason.

    `counters` are those that do the service; `closure` the one in the way of the first of them, if one is.
    """

    is_offered: bool
    rule: Rule
    counters: Sequence[tuple[int, Why]]
    closure: Closure | None = None


def explain(lines: OfficeLines, demand: Demand, at: datetime, now: datetime) -> Verdict:
    """Why the office offers this time for the demand, or why not."""
    rule = _rule(lines, demand, at, now)
    bit = tick_of(at) - lines.horizon.base
    doing = [line for line in lines.counters if demand.service_ids <= line.services]
    reasons = [(line.counter_id, _why(line, demand.ticks, bit)) for line in doing]
    closed = [(id, _closure(lines.office_id, id, at)) for id, why in reasons if why == Why.HOURS]
    closure = next((one for _id, one in closed if one is not None), None)
    behind = {id for id, one in closed if one is not None}
    named = [(id, Why.CLOSURE if id in behind else why) for id, why in reasons]
    return Verdict(offer(lines, demand, now).has(at), rule, named, closure)


def _rule(lines: OfficeLines, demand: Demand, at: datetime, now: datetime) -> Rule:
    zone, base = lines.horizon.zone, lines.horizon.base
    tick = tick_of(at)
    if at <= now:
        return Rule.PAST
    if tick_from(at) != tick:
        return Rule.NO_TICK
    for service, _people in demand.items:
        mask = bookable(service, now, zone, base)
        if not mask >> (tick - base) & 1:
            return Rule.NOTICE if mask >> (tick - base) else Rule.TOO_FAR
    return Rule.FINE


def _why(line: CounterLine, length: int, bit: int) -> Why:
    """The first mask in the order of `CounterLine.fits` that has no room for the visit."""
    if bit < 0:
        return Why.HOURS
    visit, kept = between(bit, bit + length), between(bit, bit + length + line.buffer)
    unbroken = starts(line.opening.open, length)
    in_the_way = (
        (Why.HOURS, not line.opening.open >> bit & 1),
        (Why.TOO_LONG, not unbroken >> bit & 1),
        (Why.GRID, not line.opening.grid >> bit & 1),
        (Why.WALK_INS, bool(line.kept_back & visit)),
        (Why.UNRELEASED, bool(line.unreleased & visit)),
        (Why.FREED, bool(line.taken & visit) and not line.taken & ~line.freed & visit),
        (Why.HELD, bool(line.taken & visit) and not line.taken & ~line.freed & ~line.held & visit),
        (Why.BOOKED, bool(line.taken & visit)),
        (Why.BUFFER, bool(line.taken & kept)),
    )
    return next((why for why, applies in in_the_way if applies), Why.FREE)


def _closure(office_id: int, counter_id: int, at: datetime) -> Closure | None:
    """The closure that this counter is in then."""
    query = select(Closure).where(Closure.office_id == office_id, Closure.starts_at <= at, Closure.ends_at > at)
    mine = or_(Closure.counter_id.is_(None), Closure.counter_id == counter_id)
    return db.session.scalar(query.where(mine).order_by(Closure.id).limit(1))
