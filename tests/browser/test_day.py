"""A whole day replayed: 120 appointments, 40 walk-ins, six clerks at once, one of them ill at ten o'clock.

The clerks are sessions of their own that press their buttons at the same moment; the agenda and the screen of the
waiting room are watched in a real browser, whose network is cut for a while.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import func, select
from werkzeug.serving import make_server

from booking import links
from booking.appointments.booking import Citizen, book
from booking.appointments.holds import hold
from booking.appointments.models import Appointment, Channel, Visit, VisitState, VisitStep
from booking.appointments.offers import Demand, offers
from booking.appointments.recount import recount
from booking.appointments.visits import waited
from booking.db import begin_write, db
from booking.staff.audit import citizen_of
from booking.staff.models import Device, DeviceKind, Role
from booking.townhall.models import Office, Service
from tests.browser.conftest import opened
from tests.conftest import KEYS, MONDAY, Clock
from tests.factories import PASSWORD, Town, make_staff, make_town
from tests.pages import Visitor
from tests.processes import together

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CLERKS, BOOKED, WALK_INS, NO_SHOWS = 6, 120, 40, 6
A_MINUTE = timedelta(minutes=1)
TEN, ELEVEN = MONDAY + timedelta(hours=1), MONDAY + timedelta(hours=2)


@dataclass
class Clerk:
    """A clerk at a counter: a session of their own, whom they have, and until when."""

    visitor: Visitor
    counter_id: int
    token: str = ""
    visit_id: int = 0
    busy_until: datetime = MONDAY
    is_there: bool = True


@dataclass
class Day:
    """What the test itself writes down while the day goes on, to be compared with the log."""

    app: Flask
    town: Town
    clock: Clock
    clerks: list[Clerk]
    chance: Random = field(default_factory=lambda: Random(7))
    called_at: dict[int, datetime] = field(default_factory=dict)
    calls: Counter[int] = field(default_factory=Counter)

    def post(self, clerk: Clerk, path: str, **values: object) -> str:
        """Presses a button; where it led to."""
        page = clerk.visitor.post(f"/testdorp/staff/{path}", {"csrf_token": clerk.token, **values})
        assert page.status == 303, (path, page.status, page.text[:300])
        return page.location

    def next(self, clerk: Clerk) -> None:
        """The clerk presses "next", and whoever is called comes to the counter."""
        location = self.post(clerk, f"next/{clerk.counter_id}", current=clerk.visit_id)
        wanted = parse_qs(urlsplit(location).query).get("open")
        if wanted is None:
            clerk.visit_id = 0
            return
        kind, id = ("visit", wanted[0][1:]) if wanted[0].startswith("v") else ("appointment", wanted[0])
        self.post(clerk, f"{kind}/{id}/begin")
        with self.app.app_context():
            clerk.visit_id = db.session.scalars(select(Visit.id).where(Visit.counter_id == clerk.counter_id)).one()
        self.called_at[clerk.visit_id] = self.clock()
        self.calls[clerk.visit_id] += 1
        clerk.busy_until = self.clock() + self.chance.randrange(8, 16) * A_MINUTE

    def waiting(self) -> int:
        with self.app.app_context():
            return db.session.scalar(select(func.count()).where(Visit.state == VisitState.ARRIVED)) or 0


@pytest.fixture
def day(app: Flask, clock: Clock) -> Day:
    with app.app_context():
        town = make_town(counters=CLERKS)
        for n in range(CLERKS):
            make_staff(town.municipality_id, f"clerk{n}@testdorp.example.org", Role.LEAD).language = "en"
        db.session.add(Device(office_id=town.office_id, kind=DeviceKind.DISPLAY, name="Hall", made_at=MONDAY))
        db.session.commit()
        _fill(town)
    clerks = [Clerk(_signed_in(app, n), counter_id) for n, counter_id in enumerate(town.counter_ids)]
    for clerk in clerks:
        clerk.token = clerk.visitor.get("/testdorp/staff/search").forms[0].values["csrf_token"]
        clerk.visitor.post("/testdorp/staff/counter", {"csrf_token": clerk.token, "counter": clerk.counter_id})
    return Day(app, town, clock, clerks)


def _fill(town: Town) -> None:
    """120 appointments of a quarter of an hour, booked some days before."""
    made_at = MONDAY - timedelta(days=3)
    for n in range(BOOKED):
        begin_write()
        office, service = db.session.get_one(Office, town.office_id), db.session.get_one(Service, town.passport_id)
        (offered,) = offers([office], Demand(service), made_at)
        starts = [at for at in offered.starts if at >= MONDAY and (at - MONDAY).seconds % 900 == 0]
        kept = hold(office, Demand(service), starts[0], made_at)
        book(kept, Citizen(f"Citizen Number{n}", "nl"), Channel.WEB, citizen_of(town.municipality_id), made_at)
        db.session.commit()


def _signed_in(app: Flask, n: int) -> Visitor:
    visitor = Visitor(app, f"203.0.113.{n}")
    assert visitor.sign_in("testdorp", f"clerk{n}@testdorp.example.org", PASSWORD).status == 303
    return visitor


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_day(day: Day, url: str, chromium: Browser) -> None:
    with opened(chromium, viewport={"width": 1280, "height": 800}) as hall, opened(chromium) as office:
        screen, agenda = hall.new_page(), office.new_page()
        sign_in_screen(screen, url)
        sign_in_clerk(agenda, url)
        arrivals = who_comes_when(day)
        for minute in range(9 * 60):
            day.clock.now = MONDAY + minute * A_MINUTE
            receive(day, arrivals)
            if day.clock() == TEN:
                fall_ill(day)
            call_all(day)
            if minute in (30, 90):
                watch(day, screen, agenda)
            if day.clock() == ELEVEN:
                cut_the_network(day, hall, screen)
        assert_nobody_was_forgotten_and_nobody_called_twice(day)


def sign_in_screen(screen: Page, url: str) -> None:
    screen.goto(f"{url}/testdorp/device/{links.token(KEYS, 'device', 1, 1)}")
    screen.locator("main button").click()
    expect(screen.locator(".call--none")).to_be_visible()


def sign_in_clerk(page: Page, url: str) -> None:
    page.goto(f"{url}/testdorp/staff/sign-in")
    page.fill("#email", "clerk0@testdorp.example.org")
    page.fill("#password", PASSWORD)
    page.click("main button[type=submit]")
    expect(page.locator("#queue")).to_be_visible()


def who_comes_when(day: Day) -> dict[datetime, list[int | None]]:
    """By minute: appointments whose citizen comes, and None for a walk-in. Some never come."""
    with day.app.app_context():
        booked = db.session.execute(select(Appointment.id, Appointment.starts_at).order_by(Appointment.id)).all()
    found: dict[datetime, list[int | None]] = {}
    absent = set(day.chance.sample([one.id for one in booked], NO_SHOWS))
    for id, starts_at in booked:
        if id not in absent:
            comes = max(starts_at + day.chance.randrange(-12, 8) * A_MINUTE, MONDAY)
            found.setdefault(comes, []).append(id)
    for _ in range(WALK_INS):
        found.setdefault(MONDAY + day.chance.randrange(0, 390) * A_MINUTE, []).append(None)
    return found


def receive(day: Day, arrivals: dict[datetime, list[int | None]]) -> None:
    """The first clerk also receives who comes; who has not come after twenty minutes is missed."""
    for id in arrivals.pop(day.clock(), []):
        if id is None:
            day.post(day.clerks[0], f"ticket/{day.town.desk_id}", service="passport", people="1")
        else:
            day.post(day.clerks[0], f"appointment/{id}/arrive")
    with day.app.app_context():
        late = (
            select(Appointment.id)
            .outerjoin(Appointment.visit)
            .where(Appointment.starts_at <= day.clock() - 20 * A_MINUTE, Visit.id.is_(None))
        )
        ids = db.session.scalars(late).all()
    for id in ids:
        day.post(day.clerks[0], f"appointment/{id}/miss")


def call_all(day: Day) -> None:
    """All clerks who have done with somebody, or have nobody, press "next" at the same moment."""
    free = [one for one in day.clerks if one.is_there and one.busy_until <= day.clock()]
    pressing = [one for one in free if one.visit_id] + [one for one in free if not one.visit_id][: day.waiting()]
    if pressing:
        together([lambda clerk=clerk: day.next(clerk) for clerk in pressing])  # type: ignore[misc]


def fall_ill(day: Day) -> None:
    """The last clerk goes home: a colleague ends the visit, closes the counter and moves who can be moved."""
    ill, lead = day.clerks[-1], day.clerks[0]
    ill.is_there = False
    if ill.visit_id:
        with day.app.app_context():
            visit = db.session.get_one(Visit, ill.visit_id)
            path = f"appointment/{visit.appointment_id}" if visit.appointment_id else f"visit/{visit.id}"
        day.post(lead, f"{path}/serve")
    page = lead.visitor.get(f"/testdorp/staff/counter/{ill.counter_id}")
    shown = [line.split('"')[0] for line in page.response.text.split('name="move" value="')[1:]]
    day.post(lead, f"counter/{ill.counter_id}/absent", move=shown)
    assert shown


def watch(day: Day, screen: Page, agenda: Page) -> None:
    """Within seconds the screen shows the last call and the agenda who waits; axe finds nothing on either."""
    with day.app.app_context():
        last = select(Visit.number).join(VisitStep, VisitStep.visit_id == Visit.id).where(VisitStep.step == "call")
        number = db.session.scalars(last.order_by(VisitStep.id.desc()).limit(1)).one()
    expect(screen.locator(".call__number")).to_have_text(str(number))
    expect(agenda.locator(".queue__count")).to_have_text(str(day.waiting()))
    assert "Citizen" not in screen.content()
    for page in (screen, agenda):
        assert not Axe().run(page).response["violations"]


def cut_the_network(day: Day, hall: object, screen: Page) -> None:
    """The screen keeps what it showed and says that it is cut off; then it comes back by itself."""
    before = screen.locator(".call__number").inner_text()
    hall.set_offline(True)  # type: ignore[attr-defined]
    expect(screen.locator("#lost")).to_be_visible()
    assert screen.locator(".call__number").inner_text() == before
    hall.set_offline(False)  # type: ignore[attr-defined]
    expect(screen.locator("#lost")).to_be_hidden()
    watch_only = day.waiting()
    assert watch_only >= 0


def assert_nobody_was_forgotten_and_nobody_called_twice(day: Day) -> None:
    with day.app.app_context():
        visits = db.session.scalars(select(Visit)).all()
        states = Counter(visit.state for visit in visits)
        assert states == {VisitState.SERVED: BOOKED + WALK_INS - NO_SHOWS, VisitState.MISSED: NO_SHOWS}
        assert {visit.calls for visit in visits if visit.state == VisitState.SERVED} == {1}
        assert set(day.calls.values()) == {1}
        assert {visit.id for visit in visits if visit.called_at} == set(day.called_at)
        for visit in visits:
            if visit.called_at is not None and visit.arrived_at is not None:
                agreed = visit.appointment.starts_at if visit.appointment else visit.arrived_at
                assert waited(visit) == max(day.called_at[visit.id] - max(agreed, visit.arrived_at), timedelta())
        numbers = [visit.number for visit in visits if visit.number]
        assert sorted(numbers) == list(range(1, len(numbers) + 1))
        calls = db.session.execute(
            select(VisitStep.counter_id, VisitStep.at).where(VisitStep.step == "call").order_by(VisitStep.id)
        ).all()
        assert len(calls) == len(day.called_at)
        ill = day.clerks[-1].counter_id
        assert all(at <= TEN for counter_id, at in calls if counter_id == ill)
        db.session.rollback()
        assert recount(day.town.municipality_id, day.clock()).findings == []
