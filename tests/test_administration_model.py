"""Random changes of a town between random bookings: nothing breaks, and no promise is silently lost.

After each step the town is counted again, and what each citizen knows by their letters is held against what is true.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import count, islice
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from hypothesis import settings as hypothesis_settings
from hypothesis import stateful
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule
from sqlalchemy import select

from booking.appointments import absence, visits
from booking.appointments import limits as limits_of_balie
from booking.appointments.booking import Citizen, TooLate, cancel, demand_of, move
from booking.appointments.holds import hold
from booking.appointments.models import Appointment, Booking, Channel, Occupancy
from booking.appointments.occupancy import SlotTaken
from booking.appointments.offers import Demand, Offer, offer
from booking.appointments.plans import Errands
from booking.appointments.recount import recount
from booking.appointments.timelines import office_lines
from booking.appointments.together import book_visit, hold_visit
from booking.appointments.visits import NotNow, Press
from booking.config import Settings
from booking.db import begin_write, db
from booking.exchange.imports import PARTS, Import
from booking.outbox.held import send_now
from booking.planning.by_office import cancel_by_office
from booking.planning.impact import Decision, accept_proposal, apply, decision, open_proposal, preview
from booking.planning.models import Adjustment, Cause, Choice
from booking.planning.undo import Gone, undo
from booking.slots.clock import moment_of
from booking.staff.audit import citizen_of, member
from booking.staff.models import Role
from booking.townhall.doing import set_doing
from booking.townhall.models import Closure, Counter, Desk, Municipality, Office, OpeningHours, Service
from booking.townhall.plans import Closing, NewHours, Overtaken, Plan, Reopening, Stretch
from booking.townhall.removal import Needed, remove
from booking.townhall.revisions import raise_town
from booking.townhall.standing import standing
from booking.worker import letters, texts, tidying
from tests.conftest import MONDAY, Clock
from tests.edited_files import Chance, edited
from tests.factories import Town, make_counter, make_desk, make_hours, make_office, make_service, make_staff, make_town
from tests.paper import lives
from tests.promises import Promises
from tests.test_exchange import changes
from tests.test_planning import FRIDAY, NOW, booked

pytestmark = [pytest.mark.townhall, pytest.mark.slow]

ZONE = ZoneInfo("Europe/Brussels")
HELD = timedelta(minutes=11)  # longer than messages of a change wait
CONTACTS = {"letters": ("z@example.org", None), "texts": (None, "+32470123456"), "nothing": (None, None)}
chances = st.integers(0, 2**32).map(Chance)
Wish = tuple[str, int, str]  # the service, for how many people, and how they are reached
FILES = ("desks", "counters", "services", "offices", "staff")
_slugs = count(1)
backs = st.sampled_from([False, False, True])  # whether a change is undone at once

kinds = st.sampled_from(["passport", "passport", "wedding", "permit", "visit", "visit"])
contacts = st.sampled_from(["letters", "letters", "texts", "nothing"])
wishes = st.tuples(kinds, st.integers(1, 2), contacts)
days_ahead, hours_long = st.sampled_from([0, 0, 1, 1, 2, 4]), st.sampled_from([2, 6, 24, 30])


class Life(stateful.RuleBasedStateMachine):
    """What citizens, clerks and an administrator do, in any order, with a worker that sends what is due."""

    def __init__(self, app: Flask, clock: Clock, settings: Settings) -> None:
        super().__init__()
        self.clock, self.settings = clock, settings
        self.context = app.app_context()
        self.context.push()

    def teardown(self) -> None:
        db.session.remove()
        self.context.pop()

    @initialize(chance=chances, freed=st.sampled_from([0, 0, 30]), wanted=st.lists(wishes, min_size=4, max_size=8))
    def begin(self, chance: Chance, freed: int, wanted: list[Wish]) -> None:
        """Two offices: registry and building at the one, registry at the other."""
        self.clock.now = MONDAY
        begin_write()
        self.slug = f"town-{next(_slugs)}"
        made = make_town(self.slug)
        town = db.session.get_one(Municipality, made.municipality_id)
        town.freed_minutes, town.longest_wait_minutes = freed, 60
        annex = make_office(town, 2)
        annex.names = {"nl": "Bijgebouw"}
        for office, key, number in ((town.offices[0], "building", 3), (annex, "civil", 4)):
            counter = make_counter(make_desk(office, key), number)
            for weekday in range(5):
                make_hours(counter, weekday, 9 * 60, 12 * 60)
            if key == "building":
                make_service(town, "permit", [counter], minutes=20, desk_key=key)
        self.town_id, self.author = town.id, member(make_staff(town.id, f"ann@{self.slug}.be", Role.ADMINISTRATOR))
        make_staff(town.id, f"bob@{self.slug}.be")
        self.promises = Promises(town.id)
        db.session.commit()
        self._book_all(chance, wanted)

    # ---- what citizens do

    @rule(chance=chances, wanted=st.lists(wishes, min_size=1, max_size=4))
    def book(self, chance: Chance, wanted: list[Wish]) -> None:
        self._book_all(chance, wanted)

    def _book_all(self, chance: Chance, wanted: list[Wish]) -> None:
        for key, people, contact in wanted:
            citizen = Citizen("Zoë", "nl", *CONTACTS[contact])
            self.attempt(partial(self._book, chance, (key, people), citizen), SlotTaken)

    def _book(self, chance: Chance, wanted: tuple[str, int], citizen: Citizen) -> None:
        key, people = wanted
        office = chance.choice(self.offices())
        lines, now = office_lines(office, self.clock()), self.clock()
        here = standing(self.slug)
        assert here
        if key == "visit":
            demands = tuple(Demand(self.service(one)) for one in ("passport", "permit"))
            errands = Errands(demands, here[0], {office.id: lines}, now)
            start = self.any_start(chance, next(iter(errands.offers()), None))
            held = hold_visit(errands, office.id, start)
        else:
            demand = Demand(self.service(key), people if key == "passport" else 1)
            start = self.any_start(chance, offer(lines, demand, now))
            held = hold(office, demand, start, now)
        made = book_visit(held, citizen, Channel.WEB, citizen_of(self.town_id), now)
        for one in made.appointments:
            self.promises.agreed(one)

    @rule(chance=chances, what=st.sampled_from(["move", "cancel", "accept"]))
    def changes_their_mind(self, chance: Chance, what: str) -> None:
        self.attempt(partial(self._change_mind, chance, what), SlotTaken, TooLate)

    def _change_mind(self, chance: Chance, what: str) -> None:
        one, now = self.any_appointment(chance), self.clock()
        actor = citizen_of(self.town_id, comes_first=open_proposal(one) is not None)
        if not one.is_booked:
            return
        if what == "cancel":
            cancel(one, actor, now)
        elif what == "move":
            office = chance.choice(self.offices())
            move(one, office, self.any_start(chance, offer(office_lines(office, now), demand_of(one), now)), actor, now)
        elif open_proposal(one) is not None:
            accept_proposal(one, actor, now)
        else:
            return
        self.promises.agreed(one)

    # ---- what the administrator does

    @rule(chance=chances, day=days_ahead, hour=st.sampled_from([8, 8, 10, 13]), length=hours_long, back=backs)
    def closes(self, chance: Chance, day: int, hour: int, length: int, back: bool) -> None:
        first = self.today + timedelta(days=day)
        starts = datetime(first.year, first.month, first.day, hour, tzinfo=ZONE).astimezone(UTC)
        stretch = Stretch(starts, starts + timedelta(hours=length), {"nl": "Dicht"})
        if chance.choice([True, False]):
            self.carry_out(Closing((stretch,), (chance.choice(self.office_ids),)), chance, back)
        else:
            self.carry_out(Closing((stretch,), (), self.some_counters(chance)), chance, back)

    @rule(chance=chances, day=days_ahead, opens=st.sampled_from([480, 540, 660]), back=backs)
    def sets_hours(self, chance: Chance, day: int, opens: int, back: bool) -> None:
        weekdays = chance.some(range(5), 0, 5)
        first = self.today + timedelta(days=day)
        last = chance.choice([None, first, first + timedelta(days=9)])
        week = tuple((weekday, opens, 900) for weekday in weekdays)
        every = chance.choice([1, 1, 2, 3])
        self.carry_out(NewHours(self.some_counters(chance), week, first, last, every), chance, back)

    @rule(chance=chances, back=backs)
    def reopens(self, chance: Chance, back: bool) -> None:
        mine = select(Closure.id).where(Closure.office_id.in_(self.office_ids), Closure.ends_at > self.clock())
        ids = db.session.scalars(mine.order_by(Closure.id)).all()
        if ids:
            self.carry_out(Reopening((chance.choice(ids),)), chance, back)

    def carry_out(self, plan: Plan, chance: Chance, back: bool) -> None:
        """As the page does it: who is hit is shown, something is chosen for each of them, and that is done."""
        before = self.picture()
        self.start()
        found = {one.appointment_id: one.start for one in preview(plan, self.author, self.clock())}
        assert self.picture() == before
        self.start()
        made = apply(plan, self.decisions(found, chance), self.author, self.clock()).id
        db.session.commit()
        if back:
            self.start()
            undo(db.session.get_one(Adjustment, made), self.author, self.clock())
            db.session.commit()
            assert self.picture() == before

    def decisions(self, found: Mapping[int, datetime | None], chance: Chance) -> dict[int, Decision]:
        return {id: decision(chance.choice(list(Choice)), start) for id, start in found.items()}

    @rule(chance=chances, name=st.sampled_from([*FILES, "hours", "all"]), back=backs)
    def imports(self, chance: Chance, name: str, back: bool) -> None:
        """A file comes in after its dry run; it does what that showed, and once more it would do nothing."""
        before, lines = self.picture(), self.lines()
        self.start()
        way_back = self._bring_in(edited(self.town, name, chance, self.today), before, chance)
        if back and way_back is not None:
            self._bring_in(way_back, self.picture(), chance)
            assert lines <= self.lines()  # what was added stays

    def _bring_in(self, content: bytes, before: object, chance: Chance) -> bytes | None:
        """What puts back what was changed."""
        looked_at = self._read(content)
        assert list(looked_at.preview()) == list(range(1, looked_at.lines + 1))
        decisions = self.decisions({one.appointment_id: one.start for one in looked_at.proposals}, chance)
        assert self.picture() == before
        running = self._read(content)
        list(running.carry_out(decisions))
        way_back = running.way_back()
        db.session.commit()
        assert changes(running) == changes(looked_at)
        again = self._read(content)
        list(again.preview())
        assert again.is_empty, changes(again)
        return way_back

    def lines(self) -> set[str]:
        """The lines of the files of the town, but for hours, which are undone as a change."""
        return {line for part in PARTS if part.name in FILES for line in part.written(self.town).splitlines()}

    def _read(self, content: bytes) -> Import:
        self.start()
        return Import(self.town, content, self.author, self.clock())

    @rule(chance=chances)
    def says_who_does_what(self, chance: Chance) -> None:
        self.start()
        raise_town(self.town, self.clock())
        services = [one.id for one in self.services()]
        pairs = [(counter, service) for counter in self.counter_ids for service in services]
        left = set(chance.some(pairs, 0, 3))
        set_doing(self.counter_ids, services, set(pairs) - left)
        db.session.commit()

    @rule(chance=chances, what=st.sampled_from([Counter, Counter, Desk, Office]))
    def takes_out(self, chance: Chance, what: type[Counter] | type[Desk] | type[Office]) -> None:
        ids = {Counter: self.counter_ids, Desk: self.desk_ids, Office: self.office_ids}[what]
        if len(ids) > 1:
            self.attempt(partial(self._take_out, what, chance.choice(ids)), Needed)

    def _take_out(self, what: type[Counter] | type[Desk] | type[Office], id: int) -> None:
        raise_town(self.town, self.clock())
        remove(db.session.get_one(what, id))

    @rule(chance=chances, what=st.sampled_from(["undo", "undo", "undo", "undo", "send now"]))
    def thinks_again(self, chance: Chance, what: str) -> None:
        """One of the last changes is undone, or its messages go at once."""
        mine = select(Adjustment.id).where(Adjustment.municipality_id == self.town_id)
        ids = db.session.scalars(mine.order_by(Adjustment.id.desc()).limit(3)).all()
        if ids:
            id = chance.choice(ids)
            self.attempt(partial(self._undo if what == "undo" else self._send_now, id), Gone, Overtaken, SlotTaken)

    def _undo(self, id: int) -> None:
        undo(db.session.get_one(Adjustment, id), self.author, self.clock())

    def _send_now(self, id: int) -> None:
        send_now(self.town_id, db.session.get_one(Adjustment, id).name, self.clock())

    # ---- what clerks do

    @rule(chance=chances, step=st.sampled_from(["arrive", "miss", "note"]))
    def sees_somebody(self, chance: Chance, step: str) -> None:
        self.attempt(partial(self._step, chance, step), NotNow, SlotTaken)

    def _step(self, chance: Chance, step: str) -> None:
        one, press = self.any_appointment(chance), Press(self.author, self.clock())
        if step == "note":
            visits.write_note(one, "brings a pram", press)
        else:
            visits.take_step(step, one, press)

    @rule(chance=chances, cause=st.sampled_from(list(Cause)))
    def cancels_one(self, chance: Chance, cause: Cause) -> None:
        self.attempt(partial(self._cancel_one, chance, cause), NotNow, SlotTaken)

    def _cancel_one(self, chance: Chance, cause: Cause) -> None:
        one = self.any_appointment(chance)
        cancel_by_office(one, cause, one.sequence, self.author, self.clock())

    @rule(chance=chances, minutes=st.sampled_from([0, 20, None]))
    def is_short_of_a_counter(self, chance: Chance, minutes: int | None) -> None:
        """It runs late, or is out of service for the rest of the day: then the page names those without a contact."""
        self.start()
        counter = db.session.get_one(Counter, chance.choice(self.counter_ids))
        if minutes is not None:
            absence.run_late(counter, minutes, self.author, self.clock())
        else:
            shown = absence.proposals(counter, self.clock())
            chosen = [one for one in shown if chance.choice([True, False])]
            absence.close_and_move(counter, [one.key for one in chosen], self.author, self.clock())
            for one in absence.without_contact([one.appointment for one in chosen]):
                self.promises.agreed(one)
        db.session.commit()

    # ---- what happens by itself

    @rule(minutes=st.sampled_from([1, 4, 4, 11, 60, 600, 1440]))
    def time_passes(self, minutes: int) -> None:
        """The worker does what is due; in a long while more than once."""
        wanted = self.clock() + timedelta(minutes=minutes)
        for now in sorted({min(self.clock() + HELD, wanted), wanted}):
            self.clock.now = now
            db.session.remove()
            letters(self.settings, self.clock)
            texts(self.settings, self.clock)
            db.session.remove()
            self.promises.read_letters()
        db.session.remove()
        tidying(self.settings, self.clock)

    @invariant()
    def nothing_is_wrong(self) -> None:
        db.session.remove()
        findings = recount(self.town_id, self.clock()).findings
        assert not findings, [one.named for one in findings]

    @invariant()
    def no_promise_is_lost(self) -> None:
        self.promises.are_kept(self.clock())

    # ---- what there is

    def start(self) -> None:
        """A new writing transaction, as every POST begins, a second after the one before."""
        self.clock.advance(seconds=1)
        db.session.remove()
        begin_write()

    def attempt(self, change: Callable[[], object], *refusals: type[Exception]) -> None:
        self.start()
        try:
            change()
            db.session.commit()
        except refusals:
            db.session.rollback()

    def picture(self) -> list[object]:
        """Hours, closures, appointments and their ticks, as they stand; ends the transaction."""
        db.session.remove()
        counters, own = self.counter_ids, Booking.municipality_id == self.town_id
        columns = (Appointment.id, Appointment.counter_id, Appointment.starts_at, Appointment.ends_at)
        booked = select(*columns, Appointment.state, Appointment.is_exception).join(Appointment.booking).where(own)
        hours = select(*OpeningHours.__table__.columns).where(OpeningHours.counter_id.in_(counters))
        closures = select(*Closure.__table__.columns).where(Closure.office_id.in_(self.office_ids))
        ticks = select(Occupancy.counter_id, Occupancy.tick, Occupancy.appointment_id)
        ticks = ticks.where(Occupancy.counter_id.in_(counters), Occupancy.appointment_id.is_not(None))
        found = [sorted(map(str, db.session.execute(query))) for query in (booked, hours, closures, ticks)]
        db.session.remove()
        return list(found)

    def any_start(self, chance: Chance, found: Offer | None) -> datetime:
        days = islice(found.days, 4) if found else []
        starts = [moment_of(tick) for day in days for tick in found.on(day)[::3][:8]] if found else []
        if not starts:
            raise SlotTaken
        return chance.choice(starts)

    def any_appointment(self, chance: Chance) -> Appointment:
        if not self.promises.known:
            raise SlotTaken
        return db.session.get_one(Appointment, chance.choice(sorted(self.promises.known)))

    def some_counters(self, chance: Chance) -> tuple[int, ...]:
        return tuple(chance.some(self.counter_ids, 1, 5))

    def service(self, key: str) -> Service:
        return next(one for one in self.services() if one.key == key)

    def services(self) -> list[Service]:
        return list(db.session.scalars(select(Service).where(Service.municipality_id == self.town_id)))

    def offices(self) -> list[Office]:
        return [db.session.get_one(Office, id) for id in self.office_ids]

    @property
    def town(self) -> Municipality:
        return db.session.get_one(Municipality, self.town_id)

    @property
    def today(self) -> date:
        return self.clock().astimezone(ZONE).date()

    @property
    def office_ids(self) -> list[int]:
        return list(db.session.scalars(select(Office.id).where(Office.municipality_id == self.town_id)))

    @property
    def desk_ids(self) -> list[int]:
        return list(db.session.scalars(select(Desk.id).where(Desk.office_id.in_(self.office_ids))))

    @property
    def counter_ids(self) -> list[int]:
        mine = select(Counter.id).where(Counter.desk_id.in_(self.desk_ids))
        return list(db.session.scalars(mine.order_by(Counter.id)))


# Always the same ones: hundreds of others were lived when this was written.
LIVES = lives(max(3, hypothesis_settings().max_examples // 16), derandomize=True)


def test_no_change_breaks_or_loses_anything(
    app: Flask, clock: Clock, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits_of_balie, "secrets", Chance(1))  # when a freed slot comes back
    stateful.run_state_machine_as_test(partial(Life, app, clock, settings), settings=LIVES)  # type: ignore[arg-type]


def test_a_change_that_tells_nobody_would_be_found(context: Flask, town: Town) -> None:
    """The check itself is checked: an appointment that is moved behind the citizen's back is noticed."""
    (id,) = booked(town, FRIDAY)
    one = db.session.get_one(Appointment, id)
    promises = Promises(town.municipality_id)
    promises.agreed(one)
    promises.are_kept(NOW)
    one.starts_at, one.ends_at = one.starts_at + timedelta(days=1), one.ends_at + timedelta(days=1)
    one.sequence += 1
    db.session.flush()

    with pytest.raises(AssertionError, match=r"nobody says it"):
        promises.are_kept(NOW)
