"""Two web servers and two workers as they are shipped, over HTTP on one database: nothing stale, nothing lost, nothing
double, whoever is killed.

The clock is the machine's: who starts a process cannot give it another one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from functools import partial
from itertools import count
from pathlib import Path
from shutil import copy
from threading import Event

import pytest
from flask import Flask
from sqlalchemy import ColumnElement, select

from booking.appointments.models import Appointment, AppointmentState, Booking, Hold, Occupancy
from booking.config import SmtpServer
from booking.db import db
from booking.delivery.send import send_due
from booking.outbox.models import Kind, Message, MessageChannel, MessageState
from booking.outbox.queue import STUCK_AFTER
from booking.slots.clock import tick_of
from booking.townhall.models import Desk, Municipality
from tests.factories import Town, make_town
from tests.pages import Form, Page, Visitor
from tests.postgresql import Cluster
from tests.processes import Gone, Machine, PostOffice, Server, clone, kill, looking, machine, tab, together, wait_until

pytestmark = [pytest.mark.races, pytest.mark.slow]

ROUNDS = 30
THREADS = 6
CLIENTS = 200
LANES = 4  # threads in which citizens book one after another
TICKS_A_DAY = 288
NO_LIMITS = {"holds_per_browser": 1000, "holds_per_address": 1000, "held_percent": 100, "freed_minutes": 0}
NO_LIMITS |= {"made_per_contact": 1000, "open_per_contact": 1}  # one: who clicks twice must not be told that it is two
towns = count(1)


@dataclass(frozen=True)
class House:
    """Two web servers of one process each on one database, and an application of our own to look into it."""

    app: Flask
    here: Machine
    servers: tuple[Server, Server]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Started once for each engine, because that takes seconds; each test has a town of its own."""
    folder = tmp_path_factory.mktemp("house")
    with database(request, folder) as address, machine(address, folder) as here, looking(address, folder) as app:
        first, second = here.webs(2)
        yield House(app, here, (first, second))


@contextmanager
def database(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    if request.param == "sqlite":
        copy(request.getfixturevalue("sqlite_template"), folder / "balie.sqlite")
        yield f"sqlite:///{folder / 'balie.sqlite'}"
        return
    with clone(request.getfixturevalue("cluster")) as address:
        yield address


@pytest.fixture
def town(house: House) -> Iterator[Town]:
    """A town with one counter, in which nothing but the key stands in the way of citizens."""
    before = house.here.errors
    yield open_town(house.app, counters=1)
    assert house.here.errors == before, house.here.said


def open_town(app: Flask, counters: int) -> Town:
    with app.app_context():
        made = make_town(f"dorp{next(towns)}", counters=counters)
        db.session.get_one(Desk, made.desk_id).step_minutes = 30  # pages that are read quickly
        municipality = db.session.get_one(Municipality, made.municipality_id)
        municipality.reminders = []
        for name, value in NO_LIMITS.items():
            setattr(municipality, name, value)
        db.session.commit()
    return made


# What a citizen does.


def html_path(town: Town) -> str:
    return f"/{town.slug}/en/service/passport"


def json_path(town: Town) -> str:
    return f"/{town.slug}/api/v1/services/passport/times?days=30"


def choices(page: Page) -> Form:
    """The form with the times to choose from; of two, the one with all of them."""
    return [form for form in page.forms if form.action.endswith("/hold")][-1]


def typed(number: int) -> dict[str, str]:
    """What the citizen with this number types."""
    return {
        "name": f"Citizen {number}",
        "reach": "both" if number % 4 == 0 else "email",
        "email": f"citizen{number}@example.org",
        "phone": f"0470{number:06}",
    }


def confirm(visitor: Visitor, details: Page, number: int = 1) -> Page:
    return visitor.send(details.forms[-1], **typed(number))


def cancel(visitor: Visitor, confirmed: Page) -> Page:
    asked = visitor.get(visitor.follow(confirmed).link("/cancel"))
    return visitor.send(asked.form("/cancel"))


def address(number: int) -> str:
    return f"198.18.{number // 250}.{number % 250 + 1}"


# What one process does, the next answer of another one shows.


@dataclass
class Reader:
    """A program that asks now this process and now that one, with the ETag of what it kept."""

    kept: dict[str, tuple[str, set[str]]] = field(default_factory=dict)
    unchanged: int = 0

    def slots(self, server: Server, path: str) -> set[str]:
        """The times on offer, as "<office>.<tick>"; 304 says that they are those it kept."""
        etag, known = self.kept.get(path, ("", set()))
        page = Visitor(server).get(path, **({"If-None-Match": etag} if etag else {}))
        if page.status == 304:
            self.unchanged += 1
            return known
        assert page.status == 200, page.text
        found = slots_in(page)
        self.kept[path] = (page.response.headers.get("ETag", ""), found)
        return found


def slots_in(page: Page) -> set[str]:
    if not page.response.is_json:
        return {value for _name, value in choices(page).buttons}
    offices = page.response.get_json()["offices"]
    return {f"{one['id']}.{tick_of(datetime.fromisoformat(at))}" for one in offices for at in one["times"]}


@dataclass(frozen=True)
class Couple:
    """Somebody acts through one process, and somebody else asks another one at once."""

    town: Town
    taker: Visitor
    number: int
    asker: Server
    reader: Reader

    def shows(self, slot: str) -> set[bool]:
        """Whether the slot is on offer in the next answers of the other process, and then of the one that acted."""
        html, json = html_path(self.town), json_path(self.town)
        asked = ((self.asker, html), (self.asker, json), (self.taker.client.application, json))
        return {slot in self.reader.slots(server, path) for server, path in asked}

    def go_through(self, service: Page, slot: str) -> None:
        """Holds the slot, books it, and gives it back."""
        held = self.taker.send(choices(service), slot=slot)
        assert held.status == 303, held.text
        assert self.shows(slot) == {False}, "a held slot on offer"
        booked = confirm(self.taker, self.taker.follow(held), self.number)
        assert booked.status == 303, booked.text
        assert self.shows(slot) == {False}, "a booked slot on offer"
        given_back = cancel(self.taker, booked)
        assert given_back.status == 303, given_back.text
        assert self.shows(slot) == {True}, "a slot that was given back is not on offer"


def couples(house: House, town: Town, number: int, reader: Reader) -> list[tuple[Couple, Page]]:
    """Two citizens, one at each process, with the page of the service before them; each time the other is asked."""
    found = []
    for taker, asker in (house.servers, house.servers[::-1]):
        visitor = Visitor(taker, address(number))
        found.append((Couple(town, visitor, number, asker, reader), visitor.get(html_path(town))))
    return found


def far_slots(server: Server, town: Town) -> list[list[str]]:
    """The times on offer by day, but for the first two days: no clock takes them from us while we test."""
    by_day: dict[int, list[str]] = {}
    for slot in sorted(Reader().slots(server, html_path(town))):
        by_day.setdefault(int(slot.partition(".")[2]) // TICKS_A_DAY, []).append(slot)
    return [by_day[day] for day in sorted(by_day)[2:]]


def test_what_one_process_takes_or_gives_back_the_next_answer_of_the_other_shows(house: House, town: Town) -> None:
    reader = Reader()
    both = couples(house, town, 1, reader)
    slots = [slot for day in far_slots(house.servers[0], town) for slot in day]
    for n in range(ROUNDS):
        couple, service = both[n % 2]

        couple.go_through(service, slots[n * 7 % len(slots)])

    assert reader.unchanged >= ROUNDS  # same data, same bytes: what one process gave, the other one knows again


def test_many_at_once_never_see_an_older_state(house: House, town: Town) -> None:
    days = far_slots(house.servers[0], town)

    def thread(n: int) -> None:
        both = couples(house, town, n, Reader())
        for m in range(ROUNDS // THREADS):
            couple, service = both[(n + m) % 2]
            couple.go_through(service, days[n][m])

    together(partial(thread, n) for n in range(THREADS))


# The last place, two clicks, two tabs.


def test_of_two_hundred_citizens_one_gets_the_last_place(house: House, town: Town) -> None:
    visitors = [Visitor(house.servers[n % 2], address(n)) for n in range(CLIENTS)]
    with ThreadPoolExecutor(16) as threads:
        pages = list(threads.map(lambda visitor: visitor.get(html_path(town)), visitors))
    slot = choices(pages[0]).buttons[-1][1]

    answers = together(
        partial(visitor.send, choices(page), slot=slot) for visitor, page in zip(visitors, pages, strict=True)
    )

    assert Counter(answer.status for answer in answers) == {303: 1, 409: CLIENTS - 1}
    for answer in answers:
        assert answer.status == 303 or "The nearest free times" in answer.text
        assert answer.status == 303 or slot not in slots_in(answer)
    winner = next(n for n, answer in enumerate(answers) if answer.status == 303)
    assert_two_clicks_book_once(house, town, visitors[winner], answers[winner])


def test_two_clicks_book_once(house: House, town: Town) -> None:
    for n in range(ROUNDS // 5):
        visitor = Visitor(house.servers[0], address(n))
        held = visitor.press(choices(visitor.get(html_path(town))), -1)

        assert_two_clicks_book_once(house, town, visitor, held)


def assert_two_clicks_book_once(house: House, town: Town, visitor: Visitor, held: Page) -> None:
    details = visitor.follow(held)
    with house.app.app_context():
        before = len(appointments(town))

    clicks = together(partial(confirm, tab(visitor, server), details, before) for server in house.servers)

    assert [click.status for click in clicks] == [303, 303], [click.text for click in clicks]
    assert clicks[0].location == clicks[1].location
    assert visitor.get(clicks[0].location).status == 200
    with house.app.app_context():
        assert len(appointments(town)) == before + 1
        assert_ticks_and_appointments_agree(town)


@pytest.mark.parametrize("is_same", [False, True], ids=["two times", "the same time"])
def test_two_tabs_of_one_browser_book_without_an_error(house: House, town: Town, is_same: bool) -> None:
    for n in range(ROUNDS // 5):
        one = Visitor(house.servers[0], address(n))
        tabs = [one, tab(one, house.servers[1])]
        pages = [each.get(html_path(town)) for each in tabs]
        slots = [choices(pages[0]).buttons[number][1] for number in (-1, -1 if is_same else -20)]

        answers = [each.send(choices(page), slot=slot) for each, page, slot in zip(tabs, pages, slots, strict=True)]
        assert {answer.status for answer in answers} <= ({303, 409} if is_same else {303})
        forms = [
            (each, each.follow(answer)) for each, answer in zip(tabs, answers, strict=True) if answer.status == 303
        ]
        confirmed = together(partial(confirm, *form, 2 * n + m) for m, form in enumerate(forms))

        assert {page.status for page in confirmed} <= ({303, 409} if is_same else {303})
        addresses = {page.location for page in confirmed if page.status == 303}
        assert len(addresses) == (1 if is_same else 2)
        with house.app.app_context():
            assert len(appointments(town)) == (n + 1) * len(addresses)
            assert_ticks_and_appointments_agree(town)


# What the tables hold.


def appointments(town: Town) -> Sequence[Appointment]:
    return db.session.scalars(select(Appointment).where(Appointment.counter_id.in_(town.counter_ids))).all()


def assert_ticks_and_appointments_agree(town: Town) -> None:
    """Each tick is at most one visit's, no visit lacks any, and what else is taken belongs to a hold."""
    visits = [one for one in appointments(town) if one.state == AppointmentState.BOOKED]
    owners = [
        ((one.counter_id, tick), one.id)
        for one in visits
        for tick in range(tick_of(one.starts_at), tick_of(one.ends_at))
    ]
    assert len(dict(owners)) == len(owners), "two visits at one counter"
    rows = db.session.scalars(select(Occupancy).where(Occupancy.counter_id.in_(town.counter_ids))).all()
    assert {(row.counter_id, row.tick): row.appointment_id for row in rows if row.appointment_id} == dict(owners)
    holds = set(db.session.scalars(select(Hold.id).where(Hold.booking_id.is_(None))))
    assert all(row.hold_id in holds for row in rows if row.appointment_id is None)


# Somebody pulls the plug.


@pytest.fixture
def post_offices() -> Iterator[tuple[PostOffice, PostOffice]]:
    """A good one and a bad one; the letters of both lie in one heap."""
    letters: list[EmailMessage] = []
    with PostOffice(letters).open() as good, PostOffice(letters, silent_at=6).open() as bad:
        yield good, bad


@dataclass
class Crowd:
    """Citizens who book one after another, in lanes. Who finds the server gone sends the same again to the other."""

    town: Town
    servers: Sequence[Server]
    confirmed: dict[int, str] = field(default_factory=dict)  # number of the citizen → address of the confirmation
    broken: int = 0  # requests that got no answer
    enough: Event = field(default_factory=Event)

    def lane(self, first: int) -> None:
        for number in range(first, first + 1000, LANES):
            if self.enough.is_set():
                return
            self.come(number)

    def come(self, number: int) -> None:
        citizen = Visitor(self.servers[number // LANES % 2], address(number))
        details = self._held(citizen, number)
        done = self._sure(citizen, partial(confirm, citizen, details, number))
        if number % 5 == 0:  # its answer was lost on the way
            self._turn(citizen)
            again = self._sure(citizen, partial(confirm, citizen, details, number))
            assert again.location == done.location
        assert done.status == 303, done.text
        self.confirmed[number] = done.location

    def _held(self, citizen: Visitor, number: int) -> Page:
        """The form, with some slot held; another one when somebody was faster."""
        page = self._sure(citizen, partial(citizen.get, html_path(self.town)))
        for n in count(number):
            times = choices(page)
            page = self._sure(citizen, partial(citizen.press, times, n * 17 % len(times.buttons)))
            if page.status == 303:
                break
            assert page.status == 409, page.text
        return self._sure(citizen, partial(citizen.follow, page))

    def _sure(self, citizen: Visitor, send: Callable[[], Page]) -> Page:
        try:
            return send()
        except Gone:
            self.broken += 1
            self._turn(citizen)
            return send()

    def _turn(self, citizen: Visitor) -> None:
        """Another door of the load balancer."""
        here = citizen.client.application
        citizen.client.application = next(one for one in self.servers if one is not here)


@contextmanager
def crowded(crowd: Crowd) -> Iterator[Callable[[int], None]]:
    """Citizens come until the end, when an error of theirs is raised. What is given waits until so many more have
    their confirmation."""
    with ThreadPoolExecutor(LANES) as threads:
        lanes = [threads.submit(crowd.lane, n) for n in range(LANES)]

        def confirmed(more: int) -> None:
            enough = len(crowd.confirmed) + more
            wait_until(lambda: any(one.done() for one in lanes) or len(crowd.confirmed) >= enough, lambda: enough)

        try:
            yield confirmed
        finally:
            crowd.enough.set()
            for lane in lanes:
                lane.result()


def messages(town: Town, *conditions: ColumnElement[bool]) -> Sequence[Message]:
    db.session.rollback()
    return db.session.scalars(select(Message).where(Message.municipality_id == town.municipality_id, *conditions)).all()


def test_killing_a_web_server_and_a_worker_loses_nothing_and_doubles_nothing(
    cluster: Cluster, tmp_path: Path, post_offices: tuple[PostOffice, PostOffice]
) -> None:
    good, bad = post_offices
    with clone(cluster) as url, machine(url, tmp_path) as here, looking(url, tmp_path) as app:
        servers = here.webs(2)
        crowd = Crowd(open_town(app, counters=4), servers)
        with crowded(crowd) as confirmed:  # there is work for both workers when they have started
            here.worker(**good.settings)
            doomed = here.worker(**bad.settings)
            wait_until(bad.is_silent.is_set, lambda: here.said)
            kill(doomed)
            kill(servers[0].program)
            confirmed(3 * LANES)

        assert crowd.broken
        for page in list(crowd.confirmed.values())[::5]:
            assert Visitor(servers[1]).get(page).status == 200
        with app.app_context():
            assert_all_is_booked_once(crowd)
            assert_all_is_sent_but_what_the_dead_had_claimed(crowd.town)
            finish_later(app, good.port)
            assert_each_letter_came(crowd.town, good.letters, tmp_path / "instance" / "outbox")
        assert not here.errors, here.said


def assert_all_is_booked_once(crowd: Crowd) -> None:
    made = Counter(db.session.scalars(select(Booking.email)))
    assert made == Counter(typed(number)["email"] for number in crowd.confirmed)
    assert len(appointments(crowd.town)) == len(crowd.confirmed)
    assert_ticks_and_appointments_agree(crowd.town)
    told = Counter((one.subject_id, one.channel, one.kind) for one in messages(crowd.town))
    reached = [(one.id, MessageChannel.EMAIL) for one in appointments(crowd.town)]
    reached += [(one.id, MessageChannel.SMS) for one in appointments(crowd.town) if one.booking.phone]
    assert told == {(id, channel, Kind.CONFIRMATION): 1 for id, channel in reached}


def assert_all_is_sent_but_what_the_dead_had_claimed(town: Town) -> None:
    """The worker that lives sends the rest, and leaves alone what was claimed: it may be on its way. That is the letter
    at the silent post office, and perhaps a text that the dead one was writing at that moment."""
    wait_until(lambda: not messages(town, Message.state == MessageState.QUEUED), lambda: states(town))
    wait_until(lambda: set(claimed(town).values()) <= {1}, lambda: states(town))
    assert {(one.state, one.channel) for one in messages(town, Message.state != MessageState.SENT)} == {
        (MessageState.SENDING, channel) for channel in claimed(town)
    }
    assert MessageChannel.EMAIL in claimed(town)


def claimed(town: Town) -> Counter[MessageChannel]:
    return Counter(one.channel for one in messages(town, Message.state == MessageState.SENDING))


def states(town: Town) -> Counter[tuple[str, str]]:
    return Counter((one.state.value, one.channel.value) for one in messages(town))


def finish_later(app: Flask, port: int) -> None:
    """What a worker does once the claim of the dead one has run out."""
    settings = app.extensions["balie"]["settings"]
    smtp = SmtpServer("127.0.0.1", port, "none", None, None)
    later = datetime.now(UTC) + STUCK_AFTER + timedelta(minutes=1)
    db.session.rollback()
    assert send_due(replace(settings, smtp=smtp), lambda: later, MessageChannel.EMAIL) == 1


def assert_each_letter_came(town: Town, letters: Sequence[EmailMessage], outbox: Path) -> None:
    """Once; but for the one whose worker died before it could write down that it was sent: the same letter twice."""
    unsure = {one.id for one in messages(town, Message.state == MessageState.SENDING)}
    assert set(claimed(town)) <= {MessageChannel.SMS}
    sent = messages(town)
    by_email = {one.id for one in sent if one.channel == MessageChannel.EMAIL}
    came = Counter(str(letter["Message-ID"]) for letter in letters)
    assert set(came) == {f"<balie-{id}@example.org>" for id in by_email}
    assert sorted(came.values(), reverse=True) == [2] + [1] * (len(by_email) - 1)
    twice = [bytes(letter) for letter in letters if came[str(letter["Message-ID"])] == 2]
    assert twice[0] == twice[1]
    texts = {int(file.stem) for file in (outbox / town.slug).glob("*.txt")}
    assert texts - unsure == {one.id for one in sent} - by_email - unsure
