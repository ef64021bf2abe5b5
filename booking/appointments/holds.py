"""Holds: a slot is kept while the citizen fills in the form. Its end is compared with now, by whoever looks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm.attributes import set_committed_value

from booking.appointments.limits import Contact, Holder, check_day, check_holds, take_contacts_and_read, take_turn
from booking.appointments.models import Hold
from booking.appointments.needs import needs_in, with_needs, words_of
from booking.appointments.occupancy import SlotTaken, free_hold, reclaim, take
from booking.appointments.offers import Demand, first_free, offer, offers, staff_offer, tightest
from booking.appointments.timelines import lines_of_day, office_lines
from booking.appointments.writing import IDS, keep_ids
from booking.db import db, insert_row, know, loaded, run, table
from booking.slots.clock import tick_of
from booking.townhall.models import Municipality, Office, Service
from booking.townhall.revisions import raise_revision
from booking.townhall.standing import Standing

LONGEST = timedelta(hours=2)  # a form takes nobody longer; who keeps asking keeps the slot from others
ANYBODY = Holder()
KEEP_ENDED = timedelta(days=1)  # so that what was typed late still finds its hold


def hold(office: Office, demand: Demand, start: datetime, now: datetime, holder: Holder = ANYBODY) -> Hold:
    """Keeps the slot for the municipality's hold minutes and lets go of the hold it replaces.

    A second click of the same browser finds the hold of the first. Raises SlotTaken, HoldLimit. Flushes.
    """
    municipality, old = office.municipality, holder.gives_back
    on_offer = offers(municipality.offices, demand, now, holder.seen)  # before raising, so that it may be kept
    if not (holder.is_staff or old or any(one.office_id == office.id and one.has(start) for one in on_offer)):
        return _twin_or_taken(office, demand, start, now, holder)
    take_turn(holder)
    twin = twin_of(office, demand, start, now, holder)
    if twin is not None:
        return twin
    check_holds(municipality, holder, now)
    known = raise_revision([office.id, *offices_given_back(holder)])
    give_back(holder, now)
    shown = first_free(on_offer)
    lines = office_lines(office, now, known[office.id])
    lines = lines.beyond_quota() if holder.exceeds_quota else lines
    lines = lines.for_staff() if holder.is_staff else lines
    offered = staff_offer(lines, demand, now) if holder.is_staff else offer(lines, demand, now)
    counter = tightest(lines, demand, start) if offered.has(start) else None
    if counter is None:
        raise SlotTaken
    ticks = range(tick_of(start), tick_of(start) + demand.ticks + counter.buffer)
    if holder.is_staff:
        reclaim(counter.counter_id, ticks)
    else:
        check_day(lines, municipality, ticks, now)
    held = new_hold(demand, start, municipality, holder, now)
    held.counter_id = counter.counter_id
    held.first_free_at = shown and shown[1]
    insert_row(held)
    take(counter.counter_id, ticks, now, hold_id=held.id, expires_at=held.expires_at)
    know(held)
    return held


def new_hold(demand: Demand, start: datetime, municipality: Municipality, holder: Holder, now: datetime) -> Hold:
    """A hold that is not yet in the database and has no counter."""
    return Hold(
        service_id=demand.service.id,
        people=demand.people,
        others=_others(demand),
        needs=words_of(holder.needs),
        answers=holder.answers,
        starts_at=start,
        made_at=now,
        expires_at=now + timedelta(minutes=municipality.hold_minutes),
        browser=holder.browser,
        address=holder.address,
    )


def visit_of(held: Hold) -> list[Hold]:
    """All holds of the visit that this one begins, in their order: itself, and those of the desks after it."""
    if held.desks == 1:
        return [held]
    query = select(Hold).where(Hold.first_id == held.id).order_by(Hold.starts_at)
    return [held, *db.session.scalars(query)]


def offices_given_back(holder: Holder) -> set[int]:
    """The offices of what is given back: they are raised with those of the new hold."""
    old = holder.gives_back
    return {one.counter.desk.office_id for one in visit_of(old)} if old else set()


def give_back(holder: Holder, now: datetime) -> None:
    """Ends before its time what the holder gives back. The office rows are raised already."""
    for one in visit_of(holder.gives_back) if holder.gives_back else []:
        _let_go(one, now)


def hold_of(id: int, standing: Standing) -> Hold | None:
    """The hold with its counter and service as memory has them; None if the municipality has no such hold."""
    return _as_remembered(db.session.scalars(_BY_ID, {"id": id}).one_or_none(), standing)


class Outdated(Exception):
    """The municipality is not any more as memory has it: load it, and begin again."""


def hold_to_book(id: int, standing: Standing, contacts: Sequence[Contact]) -> Hold | None:
    """The same for somebody with these contacts, for whom others with one of them wait from now on. Raises Outdated."""
    town_id = standing.municipality.id
    columns = take_contacts_and_read(contacts, _TO_BOOK, {"id": id, "town": town_id})
    if columns is None:
        return None
    if columns.pop("town_revision") > standing.revision:
        raise Outdated
    keep_ids(columns)
    return _as_remembered(loaded(Hold, columns), standing)


def _as_remembered(held: Hold | None, standing: Standing) -> Hold | None:
    counter = standing.counters.get(held.counter_id) if held else None
    service = standing.services_by_id.get(held.service_id) if held else None
    if held is None or counter is None or service is None:
        return None
    if not all(other_id in standing.services_by_id for other_id, _people in held.others):
        return None
    set_committed_value(held, "counter", counter)
    set_committed_value(held, "service", service)
    return held


def demand_held(held: Hold) -> Demand:
    """What the hold is for."""
    others = ((db.session.get_one(Service, id), people) for id, people in held.others)
    demand = Demand(held.service, held.people, tuple(others))
    return with_needs(demand, needs_in(held.needs), held.counter.desk.office.municipality) if held.needs else demand


def _others(demand: Demand) -> list[list[int]]:
    return [[service.id, people] for service, people in demand.others]


def look_again(held: Hold) -> None:
    """Reads what others may have changed about the hold: its end, and what it became."""
    found = run(_LOOK, {"hold": held.id}).one()
    set_committed_value(held, "booking_id", found.booking_id)
    set_committed_value(held, "expires_at", found.expires_at)


_BY_ID = select(Hold).where(Hold.id == bindparam("id"))
_HOLD = table(Hold)
_TO_BOOK = select(
    *_HOLD.c,
    select(Municipality.revision).where(Municipality.id == bindparam("town")).scalar_subquery().label("town_revision"),
    *IDS,
).where(_HOLD.c.id == bindparam("id"))
_LOOK = select(_HOLD.c.booking_id, _HOLD.c.expires_at).where(_HOLD.c.id == bindparam("hold"))


class KeptLong(Exception):
    """The slot cannot be kept any longer; whoever is first may have it."""


def extend(held: Hold, now: datetime) -> None:
    """Gives the citizen the full time again, counted from now, but no longer than LONGEST in all; a whole visit or
    nothing of it. Flushes.

    Raises SlotTaken when the slot is gone, KeptLong when it has begun or was kept for long enough. A hold that has
    become a booking stays as it is.
    """
    holds = visit_of(held)
    raise_revision(one.counter.desk.office_id for one in holds)
    for one in holds:
        look_again(one)
    if held.booking_id is not None:
        return
    if now >= held.starts_at or now >= held.made_at + LONGEST:
        raise KeptLong
    for one in holds:
        _keep_longer(one, now)
    db.session.flush()


def _keep_longer(held: Hold, now: datetime) -> None:
    """Takes the hold's own slot again until a later end. Raises SlotTaken."""
    office = held.counter.desk.office
    free_hold(held.id, held.counter_id, now)
    demand = demand_held(held)
    lines = lines_of_day(office, office_lines(office, now), held.starts_at, now)
    line = next(line for line in lines.counters if line.counter_id == held.counter_id)
    first = tick_of(held.starts_at)
    if not line.fits(demand.ticks) >> (first - lines.horizon.base) & 1:
        raise SlotTaken
    held.expires_at = now + timedelta(minutes=office.municipality.hold_minutes)
    ticks = range(first, first + demand.ticks + line.buffer)
    take(held.counter_id, ticks, now, hold_id=held.id, expires_at=held.expires_at)


def forget_ended(now: datetime) -> None:
    """Deletes holds that ended a day ago."""
    db.session.execute(
        delete(Hold).where(Hold.expires_at <= now - KEEP_ENDED), execution_options={"synchronize_session": False}
    )


def twin_of(office: Office, demand: Demand, start: datetime, now: datetime, holder: Holder) -> Hold | None:
    """The living hold that this browser has of the same slot: its button was pressed twice. Of a visit of several
    desks that of the first."""
    if holder.browser is None:
        return None
    same = [Hold.starts_at == start, Hold.service_id == demand.service.id, Hold.people == demand.people]
    same.append(Hold.needs == words_of(holder.needs) if holder.needs else Hold.needs.is_(None))
    lives = (Hold.expires_at > now, Hold.booking_id.is_(None), Hold.first_id.is_(None))
    found = db.session.scalars(select(Hold).where(Hold.browser == holder.browser, *same, *lives))
    others = _others(demand)
    return next((one for one in found if one.counter.desk.office_id == office.id and one.others == others), None)


def _twin_or_taken(office: Office, demand: Demand, start: datetime, now: datetime, holder: Holder) -> Hold:
    """Refuses what is not on offer before anybody waits for it: of many who come at once nearly all do so in vain."""
    twin = twin_of(office, demand, start, now, holder)
    if twin is None:
        raise SlotTaken
    return twin


def _let_go(held: Hold, now: datetime) -> None:
    """Ends a hold before its time, unless it became a booking meanwhile. The office row is raised already."""
    look_again(held)
    if held.booking_id is None and held.expires_at > now:
        free_hold(held.id, held.counter_id, now)
        held.expires_at = now
        db.session.flush()
