"""Random lives of a town of two offices, in several processes: what is offered is exactly what can be booked.

After each step all that is offered and all that is taken is compared with the town on paper. Only the moment at which
a freed slot comes back is read from the database: it is a matter of chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta
from functools import partial
from itertools import count, pairwise
from typing import TypeVar

import pytest
from flask import Flask
from hypothesis import settings as hypothesis_settings
from hypothesis import stateful
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from sqlalchemy import delete, select

from booking import create_app
from booking.appointments import limits as limits_of_balie
from booking.appointments.booking import Citizen, TooLate, book, cancel, move
from booking.appointments.holds import LONGEST, KeptLong, extend, forget_ended, hold
from booking.appointments.limits import Contact, ContactLimit, Holder, HoldLimit
from booking.appointments.models import Appointment, AppointmentState, Booking, Channel, Hold, Occupancy
from booking.appointments.occupancy import SlotTaken, sweep
from booking.appointments.offers import SOON, Demand, offer
from booking.appointments.timelines import office_lines
from booking.config import Settings
from booking.db import begin_write, db
from booking.outbox.models import MessageChannel
from booking.staff.audit import citizen_of, member
from booking.townhall.models import Closure, CounterService, Desk, Office, OpeningHours, Service
from booking.townhall.revisions import forget_changes, raise_office
from tests import paper
from tests.conftest import Clock
from tests.factories import make_counter, make_desk, make_municipality, make_office, make_service, make_staff
from tests.paper import DAY, FREED, ZONE, Asked, Taken, Taker, Tick, Visit, Wish, minute_of, moment_at

pytestmark = pytest.mark.races

T = TypeVar("T")
HOLD = 20  # minutes
_slugs = count(1)


class Chance:
    """Stands for the module `secrets`, so that a life can be lived again."""

    percent = 0

    def randbelow(self, below: int) -> int:
        return (below - 1) * self.percent // 100


class ChangedMind(Exception):
    """What was done is rolled back."""


REFUSALS = (SlotTaken, KeptLong, HoldLimit, ContactLimit, TooLate, ChangedMind)

processes = st.integers(0, 1)
asides = st.sampled_from([0, 0, 0, 5, -5, 1, 15])  # minutes
whoever, contacts = st.sampled_from(["none", "one", "two", "staff"]), st.sampled_from(["alice", "bob"])
WAITS = {
    "a minute": timedelta(minutes=1),
    "a hold": timedelta(minutes=HOLD),
    "an hour": timedelta(minutes=61),
    "a day": timedelta(days=1),
    "days": timedelta(days=3),
}


class Life(stateful.RuleBasedStateMachine):
    """What may happen in a town, in any order. Two processes do it; a third looks now and then."""

    def __init__(self, apps: Sequence[Flask], clock: Clock, chance: Chance) -> None:
        super().__init__()
        self.apps, self.clock, self.chance = apps, clock, chance

    @initialize(begins=paper.begins, model=paper.towns, plans=paper.plans)
    def begin(self, begins: datetime, model: paper.Town, plans: list[paper.Plan]) -> None:
        self.clock.now, self.model = begins, model
        with self.apps[0].app_context():
            begin_write()
            self._make_town()
            for number, (at, does, openings) in enumerate(plans):
                id = make_counter(db.session.get_one(Desk, model.desks[at].id), number).id
                counter = paper.Counter(id, model.desks[at], self.office_ids[at // 2])
                model.counters.append(counter)
                for n in does:
                    self._toggle(counter, model.services[n])
                for opening in openings:
                    self._open(counter, opening)
            db.session.commit()

    def _make_town(self) -> None:
        town, limits = make_municipality(f"town-{next(_slugs)}"), self.model.limits
        town.hold_minutes, town.freed_minutes, town.held_percent = HOLD, limits.freed_minutes, limits.held_percent
        town.holds_per_browser, town.open_per_contact = limits.per_browser, limits.per_contact
        town.made_per_contact = 2 * limits.per_contact
        offices = [make_office(town, position) for position in (1, 2)]
        for n, desk in enumerate(self.model.desks):
            desk.id = make_desk(offices[n // 2], f"desk-{n}", desk.step, desk.buffer).id
        for n, service in enumerate(self.model.services):
            service.id = make_service(town, f"service-{n}", [], max_people=4, **service.columns).id
        staff = make_staff(town.id, f"clerk@{town.slug}.example.org")
        self.town_id, self.office_ids = town.id, [office.id for office in offices]
        self.actors = {False: citizen_of(town.id), True: member(staff)}

    def _toggle(self, counter: paper.Counter, service: paper.Service) -> None:
        """The counter does the service from now on, or no longer."""
        done = db.session.get(CounterService, (counter.id, service.id))
        if done:
            db.session.delete(done)
        else:
            db.session.add(CounterService(counter_id=counter.id, service_id=service.id))
        counter.does ^= {service.id}

    def _open(self, counter: paper.Counter, opening: paper.Opening) -> None:
        weekday, opens, length, valid = opening
        first, more = valid or (-100, None)
        from_on = self.clock().astimezone(ZONE).date() + timedelta(days=first)
        until_on = None if more is None else from_on + timedelta(days=more)
        for day in range(7) if weekday is None else [weekday]:
            hours = paper.Hours(day, opens, min(opens + length, DAY), from_on, until_on)
            row = OpeningHours(counter_id=counter.id, **vars(hours))
            db.session.add(row)
            db.session.flush()
            counter.hours[row.id] = hours

    def attempt(self, process: int, change: Callable[[], T]) -> T | str:
        """What the change returned, once it is committed, or why it was refused."""
        with self.apps[process].app_context():
            begin_write()
            try:
                made = change()
                db.session.commit()
            except REFUSALS as refusal:
                db.session.rollback()
                return f"{type(refusal).__name__} {getattr(refusal, 'of', '')}".strip()
            return made

    def _offered(self, wish: Wish, but: set[Taker]) -> list[tuple[datetime, int]]:
        """The starts that are free, with their offices."""
        return sorted(
            (start, id) for id in self.office_ids for start in self.model.offered(id, wish, self.clock(), but)
        )

    def _any_start(self, data: st.DataObject, offered: list[tuple[datetime, int]]) -> tuple[datetime, int]:
        """One of the starts that are offered, or that others have, or a time beside it, in either office."""
        known = sorted({*(start for start, _office in offered), *(one.start for one in self.model.visits)})
        start = data.draw(st.sampled_from(known or [moment_at(int(minute_of(self.clock())) // 5 * 5 + 60)]))
        return start + timedelta(minutes=data.draw(asides)), data.draw(st.sampled_from(self.office_ids))

    def _one_of(self, visits: Sequence[Visit], data: st.DataObject) -> Visit:
        return visits[data.draw(st.integers(0, len(visits) - 1))]

    def _wish(self, data: st.DataObject) -> Wish:
        return Wish(data.draw(st.sampled_from(self.model.services)), data.draw(st.integers(1, 2)))

    @rule(process=processes, who=whoever, clicks=st.integers(1, 2), data=st.data())
    def hold_what_is_offered(self, process: int, who: str, clicks: int, data: st.DataObject) -> None:
        wish = self._wish(data)
        offered = self._offered(wish, set())
        if who == "staff":  # rather what only they may have
            theirs = self._offered(wish, {FREED})
            offered = sorted(set(theirs) - set(offered)) or theirs
        if offered:
            start, office_id = data.draw(st.sampled_from(offered))
            for _ in range(clicks):
                self._hold(process, Asked(office_id, wish, start, who))

    @rule(process=processes, who=whoever, stays=st.booleans(), data=st.data())
    def hold_at_any_time(self, process: int, who: str, stays: bool, data: st.DataObject) -> None:
        wish, is_swap = self._wish(data), bool(self.model.holds) and data.draw(st.booleans())
        given = self._one_of(self.model.holds, data) if is_swap else None
        start, office_id = self._any_start(data, self._offered(wish, set()))
        self._hold(process, Asked(office_id, wish, start, who, given), stays)

    @precondition(lambda self: self.model.holds)
    @rule(process=processes, data=st.data())
    def hold_the_same_again(self, process: int, data: st.DataObject) -> None:
        one, office_id = self._one_of(self.model.holds, data), data.draw(st.sampled_from(self.office_ids))
        self._hold(process, Asked(office_id, one.wish, one.start, one.who or "none"))

    @rule(process=processes, contact=contacts, is_staff=st.booleans(), data=st.data())
    def book_what_is_offered(self, process: int, contact: str, is_staff: bool, data: st.DataObject) -> None:
        before = len(self.model.holds)
        self.hold_what_is_offered(process, "staff" if is_staff else "none", 1, data)
        if len(self.model.holds) > before:
            self._book(process, self.model.holds[-1], contact, is_staff)

    def _hold(self, process: int, asked: Asked, stays: bool = True) -> None:
        now, model, wish, given = self.clock(), self.model, asked.wish, asked.given
        first, ends_at = model.first_free(wish, now), now + timedelta(minutes=HOLD)
        twins = model.twins(asked.office_id, wish, asked.start, asked.browser, now)

        def change() -> tuple[int, int]:
            office, service = db.session.get_one(Office, asked.office_id), db.session.get_one(Service, wish.service.id)
            gives_back = db.session.get_one(Hold, given.id) if given else None
            subject = asked.browser and f"{asked.browser}-{self.town_id}"  # what it holds in other towns counts too
            holder = Holder(subject, None, gives_back, asked.is_staff)
            made = hold(office, Demand(service, wish.people), asked.start, now, holder)
            assert twins or (made.first_free_at, made.expires_at) == (first, ends_at)
            if not stays and not twins:
                raise ChangedMind
            return made.id, made.counter_id

        made = self.attempt(process, change)

        if twins:
            assert made in list(twins.items())
            return
        notice = SOON if asked.is_staff else None
        free = model.offered(asked.office_id, wish, now, asked.but, notice).get(asked.start, set())
        visits = [Visit("hold", 0, model.counter(id), wish, asked.start, asked.browser, now, ends_at) for id in free]
        full = {one.counter.id for one in visits if not asked.is_staff and model.is_day_full(one, now, asked.but)}
        enough = model.has_enough_holds(asked.browser, now, given)
        possible = set() if enough else free - full
        if isinstance(made, str):
            reasons = {"HoldLimit browser": enough, "HoldLimit day": full, "SlotTaken": not free}
            assert {**reasons, "ChangedMind": possible and not stays}[made]
            return
        assert made[1] in possible
        visit = next(one for one in visits if one.counter.id == made[1])
        visit.id = made[0]
        if given and given.lives(now):
            model.give_back(given.taker)
            given.ends_at = now
        model.take(visit, ends_at)
        model.holds.append(visit)

    @precondition(lambda self: self.model.holds)
    @rule(process=processes, data=st.data())
    def extend(self, process: int, data: st.DataObject) -> None:
        now, model = self.clock(), self.model
        held = self._one_of(model.holds, data)

        made = self.attempt(process, lambda: extend(db.session.get_one(Hold, held.id), now))

        is_late = now >= min(held.start, held.made_at + LONGEST)
        is_longer = held.became is None and not is_late and model.extends(held, now)
        assert made == (None if is_longer or held.became else "KeptLong" if is_late else "SlotTaken")
        if is_longer:
            held.ends_at = now + timedelta(minutes=HOLD)
            model.give_back(held.taker)
            model.take(held, held.ends_at)

    @precondition(lambda self: self.model.holds)
    @rule(process=processes, contact=contacts, is_staff=st.booleans(), data=st.data())
    def book(self, process: int, contact: str, is_staff: bool, data: st.DataObject) -> None:
        waiting = [one for one in self.model.holds if one.became is None]
        self._book(process, self._one_of(waiting or self.model.holds, data), contact, is_staff)

    def _book(self, process: int, held: Visit, contact: str, is_staff: bool) -> None:
        now, model = self.clock(), self.model
        mine = (Contact(MessageChannel.EMAIL, (contact,)),)

        def change() -> tuple[int, int, int]:
            row = db.session.get_one(Hold, held.id)
            made = book(row, Citizen("Somebody", "nl", contacts=mine), Channel.WEB, self.actors[is_staff], now)
            return made.id, made.appointments[0].id, made.appointments[0].counter_id

        made = self.attempt(process, change)

        if held.became is not None:
            assert made[0] == held.became
            return
        possible = model.counters_for(held, now)
        if not is_staff and model.has_enough_booked(contact, now):
            assert made == "ContactLimit" or (made, possible) == ("SlotTaken", set())
            return
        if isinstance(made, str):
            assert (made, possible) == ("SlotTaken", set())
            return
        assert made[2] in possible
        own, lived = model.give_back(held.taker), held.lives(now)
        held.became, id, counter_id = made
        visit = Visit("appointment", id, model.counter(counter_id), held.wish, held.start, contact, now)
        if lived:  # also what it needs no longer, where the service was made shorter
            model.taken |= dict.fromkeys(own, (visit.taker, None))
        model.take(visit)
        model.booked.append(visit)

    @precondition(lambda self: self.model.booked)
    @rule(
        process=processes,
        is_staff=st.booleans(),
        where=st.sampled_from(["near", "offered", "anywhere"]),
        percent=st.sampled_from([0, 37, 100]),
        data=st.data(),
    )
    def move(self, process: int, is_staff: bool, where: str, percent: int, data: st.DataObject) -> None:
        now, model, self.chance.percent = self.clock(), self.model, percent
        to_come = [one for one in model.booked if not one.is_cancelled and one.start > now]
        visit = self._one_of(to_come or model.booked, data)
        offered = self._offered(visit.wish, {visit.taker, *([FREED] if is_staff else [])})
        near = [one for one in offered if abs(one[0] - visit.start) < timedelta(minutes=visit.wish.length)]
        found = {"near": near, "offered": offered, "anywhere": []}[where]
        start, office_id = data.draw(st.sampled_from(found)) if found else self._any_start(data, offered)

        def change() -> int:
            appointment = db.session.get_one(Appointment, visit.id)
            move(appointment, db.session.get_one(Office, office_id), start, self.actors[is_staff], now)
            return appointment.counter_id

        made = self.attempt(process, change)

        if visit.is_cancelled or now >= visit.start:
            assert made == "TooLate"
        elif (start, office_id) == (visit.start, visit.counter.office_id):
            assert made == visit.counter.id
        elif (start, office_id) not in offered:
            assert made == "SlotTaken"
        else:
            assert isinstance(made, int)
            own = model.give_back(visit.taker)
            assert made in model.offered(office_id, visit.wish, now, {FREED} if is_staff else set())[start]
            visit.counter, visit.start = model.counter(made), start
            model.take(visit)
            self._come_back(own - model.ticks(visit), now)

    @precondition(lambda self: self.model.booked)
    @rule(process=processes, is_staff=st.booleans(), percent=st.sampled_from([0, 37, 100]), data=st.data())
    def cancel(self, process: int, is_staff: bool, percent: int, data: st.DataObject) -> None:
        now, model, self.chance.percent = self.clock(), self.model, percent
        visit, actor = self._one_of(model.booked, data), self.actors[is_staff]

        made = self.attempt(process, lambda: cancel(db.session.get_one(Appointment, visit.id), actor, now))

        is_late = now >= visit.start and not visit.is_cancelled
        assert made == ("TooLate" if is_late else None)
        if not is_late and not visit.is_cancelled:
            visit.is_cancelled = True
            self._come_back(model.give_back(visit.taker), now)

    def _come_back(self, given: set[Tick], now: datetime) -> None:
        """What is given up comes back at a moment of chance, which only the database knows."""
        with self.apps[0].app_context():
            occupied = self._occupied(now)
        ends = {occupied.get(tick, (FREED, now)) for tick in given}
        longest = timedelta(minutes=self.model.limits.freed_minutes)
        assert len(ends) <= 1
        for who, until in ends:
            assert who == FREED
            assert until is not None
            assert now <= until <= now + longest
            assert until > now or not (longest and self.chance.percent)
            self.model.taken |= dict.fromkeys(given, (FREED, until))

    @rule(
        process=processes,
        what=st.sampled_from(
            ["close", "close", "close", "reopen", "open_more", "open_less", "assign", "change_service", "change_desk"]
        ),
        data=st.data(),
    )
    def administer(self, process: int, what: str, data: st.DataObject) -> None:
        counter = data.draw(st.sampled_from(self.model.counters))

        def change() -> None:
            raise_office(self.office_ids, self.clock())
            getattr(self, f"_{what}")(counter, data)

        assert self.attempt(process, change) is None

    def _close(self, counter: paper.Counter, data: st.DataObject) -> None:
        offered = [start for start, _office in self._offered(self._wish(data), set())] or [self.clock()]
        starts = data.draw(st.sampled_from(offered)) + timedelta(minutes=data.draw(st.integers(-60, 30)))
        ends = starts + timedelta(minutes=data.draw(st.sampled_from([1, 7, 40, 300, DAY, 400 * DAY])))
        only = data.draw(st.sampled_from([counter.id, None]))
        row = Closure(office_id=counter.office_id, counter_id=only, starts_at=starts, ends_at=ends, reasons={})
        db.session.add(row)
        db.session.flush()
        hit = {one.id for one in self.model.counters if one.office_id == counter.office_id} if only is None else {only}
        self.model.closures[row.id] = hit, starts, ends

    def _reopen(self, _counter: paper.Counter, data: st.DataObject) -> None:
        if self.model.closures:
            id = data.draw(st.sampled_from(list(self.model.closures)))
            db.session.delete(db.session.get_one(Closure, id))
            del self.model.closures[id]

    def _open_more(self, counter: paper.Counter, data: st.DataObject) -> None:
        self._open(counter, data.draw(paper.openings))

    def _open_less(self, counter: paper.Counter, data: st.DataObject) -> None:
        if counter.hours:
            id = data.draw(st.sampled_from(list(counter.hours)))
            db.session.execute(delete(OpeningHours).where(OpeningHours.id == id))  # nobody but us raises the office
            del counter.hours[id]

    def _assign(self, counter: paper.Counter, data: st.DataObject) -> None:
        self._toggle(counter, data.draw(st.sampled_from(self.model.services)))

    def _change_service(self, counter: paper.Counter, data: st.DataObject) -> None:
        service = data.draw(st.sampled_from(self.model.services))
        service.minutes, service.extra, service.notice = data.draw(
            st.tuples(paper.minutes, paper.extras, paper.notices)
        )
        row = db.session.get_one(Service, service.id)
        for column, value in service.columns.items():
            setattr(row, column, value)

    def _change_desk(self, counter: paper.Counter, data: st.DataObject) -> None:
        desk = counter.desk
        desk.step, desk.buffer = data.draw(st.tuples(paper.steps, paper.buffers))
        row = db.session.get_one(Desk, desk.id)
        row.step_minutes, row.buffer_minutes = desk.step, desk.buffer

    @rule(what=st.sampled_from([*WAITS, "an end", "midnight", "a sweep", "a look from elsewhere"]))
    def meanwhile(self, what: str) -> None:
        """Time passes, a worker tidies up, or another process looks that has not looked for a while."""
        now = self.clock()
        if what in WAITS:
            self.clock.now += WAITS[what]
        elif what == "an end":
            self.clock.now = min((end for _who, end in self.model.living(now).values() if end), default=now)
        elif what == "midnight":
            tomorrow = now.astimezone(ZONE).date() + timedelta(days=1)
            self.clock.now = datetime.combine(tomorrow, time(), ZONE).astimezone(UTC)
        elif what == "a sweep":
            for tidy_up in (sweep, forget_changes, forget_ended):
                self.attempt(0, partial(tidy_up, now))
            self.model.holds = [one for one in self.model.holds if one.ends_at and one.ends_at > now - WAITS["a day"]]
        else:
            self._see_the_same(self.apps[2:])

    @invariant()
    def what_is_offered_is_what_is_free(self) -> None:
        self._see_the_same(self.apps[:2])

    def _see_the_same(self, apps: Sequence[Flask]) -> None:
        now, model = self.clock(), self.model
        wishes = [Wish(service, people) for service in model.services for people in (1, 2)]
        asked = [(id, wish, but) for id in self.office_ids for wish in wishes for but in (set[Taker](), {FREED})]
        expected = [set(model.offered(id, wish, now, but)) for id, wish, but in asked]
        for app in apps:
            with app.app_context():
                lines = {id: office_lines(db.session.get_one(Office, id), now) for id in self.office_ids}
                services = {one.id: db.session.get_one(Service, one.id) for one in model.services}
                for (id, wish, but), starts in zip(asked, expected, strict=True):
                    seen = lines[id].for_staff() if but else lines[id]
                    demand = Demand(services[wish.service.id], wish.people)
                    # in UTC, where the two readings of a repeated hour differ
                    assert {start.astimezone(UTC) for start in offer(seen, demand, now).starts} == starts

    @invariant()
    def what_is_taken_is_what_was_promised(self) -> None:
        with self.apps[0].app_context():
            assert self._occupied(self.clock()) == self.model.living(self.clock())

    def _occupied(self, now: datetime) -> Taken:
        ids = [counter.id for counter in self.model.counters]
        found = {}
        for row in db.session.scalars(select(Occupancy).where(Occupancy.counter_id.in_(ids))):
            if row.expires_at is None or row.expires_at > now:
                booked, held = row.appointment_id, row.hold_id
                who = ("appointment", booked) if booked else ("hold", held) if held else FREED
                found[row.counter_id, row.tick] = who, row.expires_at
        return found

    @invariant()
    def no_two_visits_meet_at_a_counter(self) -> None:
        expected = {(one.counter.id, one.start, one.id) for one in self.model.booked if not one.is_cancelled}
        with self.apps[0].app_context():
            mine = select(Appointment).join(Booking).where(Booking.municipality_id == self.town_id)
            booked = db.session.scalars(mine.where(Appointment.state == AppointmentState.BOOKED)).all()
            assert {(one.counter_id, one.starts_at, one.id) for one in booked} == expected
            for one, following in pairwise(sorted(booked, key=lambda one: (one.counter_id, one.starts_at))):
                assert one.counter_id != following.counter_id or one.ends_at <= following.starts_at


LIVES = paper.lives(max(4, hypothesis_settings().max_examples // 4))


def test_what_is_offered_is_exactly_what_can_be_booked_whatever_happens(
    app: Flask, settings: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = Chance()
    monkeypatch.setattr(limits_of_balie, "secrets", chance)
    others = [create_app(settings, clock=clock) for _ in range(2)]

    life = partial(Life, (app, *others), clock, chance)
    stateful.run_state_machine_as_test(life, settings=LIVES)  # type: ignore[arg-type]

    for other in others:
        with other.app_context():
            db.engine.dispose()
