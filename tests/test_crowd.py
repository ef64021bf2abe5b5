"""The line before a desk's times: people are let in in the order in which they come, and nobody else is slowed down."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, func, select

from booking.appointments.crowd import AWAY, CHOOSING, KEEP
from booking.appointments.models import Booking, CrowdPlace, Hold
from booking.db import db
from booking.townhall.models import CounterService, Desk, Municipality
from booking.townhall.revisions import raise_town
from booking.worker import run_step
from tests.conftest import MONDAY, Clock
from tests.factories import PASSWORD, Town, make_counter, make_desk, make_hours, make_office, make_staff
from tests.pages import Form, Page, Visitor

pytestmark = pytest.mark.races

BASE = "/testdorp/en"
PASSPORT = f"{BASE}/service/passport"
ANN = {"name": "Ann", "reach": "none", "email": "", "phone": ""}


class Person(Visitor):
    """A visitor who remembers the form that was reached last, whatever page is open."""

    details = ""

    def press(self, form: Form, number: int = 0, **typed: str) -> Page:
        page = super().press(form, number, **typed)
        self.details = page.location if "/hold/" in page.location else self.details
        return page

    def says(self, app: Flask, **changes: object) -> dict[str, Any]:
        """What the signed cookie holds, after these changes: as somebody could who knew our key."""
        serializer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
        cookie = self.client.get_cookie("balie", path="/testdorp")
        found = {**serializer.loads(cookie.value if cookie else ""), **changes}
        self.client.set_cookie("balie", serializer.dumps(found), path="/testdorp")
        return found


@pytest.fixture
def busy(app: Flask, town: Town) -> Town:
    """At the desk two people choose a time at once."""
    with_line(app, town, 2)
    return town


def with_line(app: Flask, town: Town, size: int) -> None:
    with app.app_context():
        raise_town(db.session.get_one(Municipality, town.municipality_id), MONDAY)
        db.session.get_one(Desk, town.desk_id).crowd_size = size
        db.session.commit()


def look(visitor: Person, clock: Clock, path: str = PASSPORT) -> Page:
    """The page of times a little later; what is to be written after the answer is written."""
    clock.advance(seconds=2)
    page = visitor.get(path)
    page.response.close()
    return page


def pressed(visitor: Person, clock: Clock, number: int = 0) -> Page:
    """What comes of pressing a free time that the page showed."""
    return visitor.press(look(visitor, clock).form("/hold"), number)


@contextmanager
def asked(app: Flask) -> Iterator[list[str]]:
    """The statements that reach the database meanwhile. No context stays open: each request has its own."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def is_let_in(page: Page) -> bool:
    return any(form.action.endswith("/hold") for form in page.forms)


def number_in(page: Page) -> str:
    return next(words for words in ("You are next.", *(f"number {n} in" for n in range(2, 60))) if words in page.text)


def waiting_after(app: Flask, clock: Clock, count: int) -> tuple[list[Person], list[Person]]:
    """Two who fill in their form, and so many who saw times, pressed one, and stand in the line now."""
    people = [Person(app) for _ in range(2 + count)]
    forms = [look(one, clock).form("/hold") for one in people]
    for one, form in zip(people, forms, strict=True):
        one.follow(one.press(form))
    return people[:2], people[2:]


def book(visitor: Person) -> Page:
    """The form that the visitor keeps a time for is sent."""
    details = visitor.get(visitor.details)
    return visitor.follow(visitor.send(details.forms[-1], **ANN))


def places(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count(CrowdPlace.id))) or 0


def test_without_a_line_nothing_is_asked_and_nothing_written(app: Flask, town: Town, clock: Clock) -> None:
    visitor = Person(app)
    look(visitor, clock)
    with asked(app) as seen:
        look(visitor, clock)
        pressed(visitor, clock)

    assert not [one for one in seen if "crowd" in one]
    assert places(app) == 0


def test_while_there_is_room_nobody_stands_in_a_line(app: Flask, busy: Town, clock: Clock) -> None:
    first, second = Person(app), Person(app)

    assert [pressed(one, clock).location.split("/")[3] for one in (first, second)] == ["hold", "hold"]
    assert places(app) == 0


def test_who_comes_first_is_let_in_first_as_others_finish(app: Flask, busy: Town, clock: Clock) -> None:
    inside, waiting = waiting_after(app, clock, 3)
    assert [number_in(look(one, clock)) for one in waiting] == ["You are next.", "number 2 in", "number 3 in"]

    assert "Your appointment" in book(inside[0]).text

    assert not is_let_in(look(waiting[2], clock))
    assert not is_let_in(look(waiting[1], clock))
    assert is_let_in(look(waiting[0], clock))
    assert number_in(look(waiting[1], clock)) == "You are next."
    assert pressed(waiting[0], clock, 3).location.startswith(f"{BASE}/hold/")
    assert not is_let_in(look(waiting[1], clock))  # the form of the first takes its room
    assert "Your appointment" in book(waiting[0]).text
    assert is_let_in(look(waiting[1], clock))


def test_a_newcomer_does_not_pass_those_who_wait(app: Flask, busy: Town, clock: Clock) -> None:
    inside, (first, second) = waiting_after(app, clock, 2)
    newcomer = Person(app)
    page = look(newcomer, clock)
    assert "2 people are waiting." in page.text
    assert not is_let_in(page)
    assert not newcomer.client.get_cookie("balie", path="/testdorp") or places(app) == 2  # looking takes no place

    in_line = newcomer.follow(newcomer.send(page.form("/line")))

    assert number_in(in_line) == "number 3 in"
    for one in inside:
        book(one)
    assert [is_let_in(look(one, clock)) for one in (newcomer, second, first)] == [False, True, True]


def test_a_place_is_kept_over_a_reload_and_pressing_again_takes_no_second(app: Flask, busy: Town, clock: Clock) -> None:
    _inside, (first, _second) = waiting_after(app, clock, 2)

    assert [number_in(look(first, clock)) for _ in range(3)] == ["You are next."] * 3
    form = Person(app).get(PASSPORT).form("/line")
    form.values["csrf_token"] = secret_of(first)
    assert first.send(form).status == 303
    assert places(app) == 2


def secret_of(visitor: Person) -> str:
    """The token of the visitor's forms, from a page that has one."""
    return str(visitor.get(f"{BASE}/find").form("/find").values["csrf_token"])


def test_who_is_gone_makes_room_and_who_looks_does_not_lose_the_place(app: Flask, busy: Town, clock: Clock) -> None:
    inside, (gone, here, last) = waiting_after(app, clock, 3)
    for _ in range(6):
        clock.advance(minutes=1)
        look(here, clock)
        look(last, clock)

    assert number_in(look(here, clock)) == "You are next."
    assert number_in(look(last, clock)) == "number 2 in"
    assert "Your place went to the next" in look(gone, clock).text
    book(inside[0])
    assert not is_let_in(look(gone, clock))
    assert is_let_in(look(here, clock))


def test_who_chooses_slowly_may_still_choose_and_does_not_hold_up_the_line(
    app: Flask, busy: Town, clock: Clock
) -> None:
    inside, (slow, after) = waiting_after(app, clock, 2)
    book(inside[0])
    form = look(slow, clock).form("/hold")
    for _ in range(CHOOSING // timedelta(minutes=2) + 1):
        clock.advance(minutes=2)
        look(after, clock)
        book(inside[1]) if _ == 0 else None

    assert is_let_in(look(after, clock))
    assert slow.press(form, 5).location.startswith(f"{BASE}/hold/")


def test_a_place_leads_to_one_time_also_from_a_copied_cookie(app: Flask, busy: Town, clock: Clock) -> None:
    inside, (honest, after) = waiting_after(app, clock, 2)
    book(inside[0])
    look(honest, clock)
    cookie = honest.client.get_cookie("balie", path="/testdorp")
    assert cookie
    copy = Person(app, "198.51.100.7")
    copy.client.set_cookie("balie", cookie.value, path="/testdorp")
    assert is_let_in(look(copy, clock))  # one place, whoever looks

    assert "Your appointment" in book_a_time(honest, clock).text

    assert is_let_in(look(after, clock))
    stale = look(copy, clock)
    assert not is_let_in(stale)
    assert stale.form("/line")


def book_a_time(visitor: Person, clock: Clock) -> Page:
    visitor.follow(pressed(visitor, clock, 4))
    return book(visitor)


def test_a_place_that_we_did_not_give_out_is_none(app: Flask, busy: Town, clock: Clock) -> None:
    _inside, (first, second) = waiting_after(app, clock, 2)
    number, generation, mac = first.says(app)["line"][str(busy.desk_id)].split("-")
    second.says(app, line={str(busy.desk_id): f"{number}-{generation}-{'a' * len(mac)}"})

    page = look(second, clock)

    assert page.form("/line")
    assert "You are" not in page.text


def test_two_browsers_have_two_places_and_an_address_not_more_than_its_share(
    app: Flask, busy: Town, clock: Clock
) -> None:
    with app.app_context():
        db.session.get_one(Municipality, busy.municipality_id).holds_per_address = 3
        db.session.commit()
    _inside, _waiting = waiting_after(app, clock, 3)
    fourth, elsewhere = Person(app), Person(app, "198.51.100.9")

    refused = fourth.send(look(fourth, clock).form("/line"))
    taken = elsewhere.send(look(elsewhere, clock).form("/line"))

    assert (refused.status, taken.status) == (429, 303)
    assert "Very many people on your network are waiting already" in refused.text
    assert number_in(look(elsewhere, clock)) == "number 4 in"


def test_the_estimate_is_that_of_the_last_minutes_or_none(app: Flask, busy: Town, clock: Clock) -> None:
    inside, waiting = waiting_after(app, clock, 12)
    assert "We cannot say yet how long it takes." in look(waiting[-1], clock).text
    for one in waiting:
        look(one, clock)
    came = clock()
    for n in range(4):  # one is let in each minute, chooses and books
        clock.now = came + timedelta(minutes=n + 1)
        book((inside[0], *waiting)[n])
        for one in waiting[n + 1 :]:
            look(one, clock)
        waiting[n].follow(pressed(waiting[n], clock, 8 * n))

    page = look(waiting[-1], clock)

    number = int(number_in(page).split()[1])
    assert number == 8
    assert any(f"about {minutes} minutes" in page.text for minutes in range(number - 1, number + 3))


def test_the_longer_the_wait_the_longer_one_may_be_away(app: Flask, busy: Town, clock: Clock) -> None:
    test_the_estimate_is_that_of_the_last_minutes_or_none(app, busy, clock)
    with app.app_context():
        last = db.session.scalars(select(CrowdPlace).order_by(CrowdPlace.id.desc())).first()
        assert last
        assert last.kept_until - clock() > AWAY


def test_turned_off_again_all_may_choose(app: Flask, busy: Town, clock: Clock) -> None:
    _inside, (first, second) = waiting_after(app, clock, 2)
    with_line(app, busy, 0)

    assert [is_let_in(look(one, clock)) for one in (second, first)] == [True, True]
    assert pressed(second, clock, 4).location.startswith(f"{BASE}/hold/")


def test_who_keeps_a_time_may_choose_another_one(app: Flask, busy: Town, clock: Clock) -> None:
    (inside, _other), (first,) = waiting_after(app, clock, 1)

    assert is_let_in(look(inside, clock))
    assert pressed(inside, clock, 6).location.startswith(f"{BASE}/hold/")
    clock.advance(minutes=30)  # the time that was kept is over
    look(first, clock)
    assert is_let_in(look(inside, clock))


def test_a_time_that_is_pressed_twice_is_kept_once(app: Flask, busy: Town, clock: Clock) -> None:
    inside, (first, _after) = waiting_after(app, clock, 2)
    book(inside[0])
    form = look(first, clock).form("/hold")
    before = first.client.get_cookie("balie", path="/testdorp")
    assert before

    answer = first.press(form, 7)
    first.client.set_cookie("balie", before.value, path="/testdorp")  # as the second click of a double click sends it
    again = first.press(form, 7)

    assert answer.location == again.location
    assert answer.location.startswith(f"{BASE}/hold/")


def test_the_page_of_who_waits_costs_one_read_a_second_and_process(app: Flask, busy: Town, clock: Clock) -> None:
    _inside, (first, second) = waiting_after(app, clock, 2)
    with asked(app) as seen:
        look(first, clock)
        second.get(PASSPORT)
        first.get(PASSPORT)

    assert len([one for one in seen if "crowd_place" in one]) == 1
    assert not [one for one in seen if one.startswith(("UPDATE", "INSERT"))]


def test_staff_links_and_other_offices_do_not_wait(app: Flask, busy: Town, clock: Clock) -> None:
    with app.app_context():
        office = make_office(db.session.get_one(Municipality, busy.municipality_id), 2)
        office.names = {"en": "District office", "nl": "Districtshuis"}
        counter = make_counter(make_desk(office))
        for weekday in range(5):
            make_hours(counter, weekday, 9 * 60, 16 * 60)
        db.session.add(CounterService(counter_id=counter.id, service_id=busy.passport_id))
        make_staff(busy.municipality_id, "bob@testdorp.example.org", desk_id=busy.desk_id)
        db.session.commit()
    early = Person(app)
    early.follow(pressed(early, clock, 12))
    own = book(early)
    _inside, (waiting,) = waiting_after(app, clock, 1)

    page = look(waiting, clock)
    assert number_in(page) == "You are next."
    assert "District office" in page.text
    offered = {value.split(".")[0] for _name, value in page.form("/hold").buttons}
    assert offered == {str(counter_office(app, busy))}
    assert waiting.press(page.form("/hold")).location.startswith(f"{BASE}/hold/")

    assert early.press(early.get(own.link("/move")).form("/move"), 9).location.endswith("did=moved")
    bob = Person(app)
    bob.sign_in("testdorp", "bob@testdorp.example.org", PASSWORD)
    found = bob.get("/testdorp/staff/book?q=passport").form("/staff/hold")
    assert bob.press(found, len(found.buttons) - 1).status == 303


def counter_office(app: Flask, town: Town) -> int:
    """The other office."""
    with app.app_context():
        return db.session.scalars(select(Desk.office_id).where(Desk.id != town.desk_id)).one()


def test_a_visit_of_several_services_waits_as_well(app: Flask, busy: Town, clock: Clock) -> None:
    inside, (_first,) = waiting_after(app, clock, 1)
    several = f"{BASE}/visit?service=passport.1&service=wedding.1"
    visitor = Person(app)
    page = look(visitor, clock, several)
    assert "1 person is waiting." in page.text

    in_line = visitor.follow(visitor.send(page.form("/line")))
    assert number_in(in_line) == "number 2 in"
    for one in inside:
        book(one)

    let_in = look(visitor, clock, several)
    assert visitor.press(let_in.form("/hold")).location.startswith(f"{BASE}/hold/")
    with app.app_context():
        used = db.session.scalars(select(CrowdPlace).order_by(CrowdPlace.id)).all()[-1]
        assert used.left_at is not None


def test_of_many_at_once_as_many_are_let_in_as_there_is_room(app: Flask, busy: Town, clock: Clock) -> None:
    people = [Person(app, f"203.0.113.{n}") for n in range(8)]
    forms = [look(one, clock).form("/hold") for one in people]
    start = Barrier(len(people))

    def press(n: int) -> str:
        start.wait()
        return people[n].press(forms[n], 5 * n).location

    with ThreadPoolExecutor(len(people)) as threads:
        ends = list(threads.map(press, range(len(people))))

    assert sum("/hold/" in end for end in ends) == 2
    with app.app_context():
        assert db.session.scalar(select(func.count(Hold.id))) == 2
        assert db.session.scalar(select(func.count(CrowdPlace.id))) == 6
    numbers = [number_in(look(people[n], clock)) for n in range(8) if "/hold/" not in ends[n]]
    assert sorted(numbers) == sorted(["You are next.", *(f"number {n} in" for n in range(2, 7))])


def test_places_are_forgotten_the_same_day(app: Flask, busy: Town, clock: Clock) -> None:
    waiting_after(app, clock, 2)
    clock.advance(hours=KEEP / timedelta(hours=1))

    run_step(app, "tidying")

    assert places(app) == 0
    with app.app_context():
        assert db.session.scalar(select(func.count(Booking.id))) == 0


@pytest.mark.usefixtures("management")
def test_a_manager_switches_the_line_on(app: Flask, town: Town) -> None:
    mia = Person(app)
    mia.sign_in("testdorp", "mia@testdorp.example.org", PASSWORD)
    address = f"/testdorp/staff/admin/desks/{town.desk_id}"
    form = mia.get(address).forms[-1]
    assert form.values["crowd_size"] == "0"

    assert mia.post(address, {**form.values, "crowd_size": "40"}).status == 303

    with app.app_context():
        assert db.session.get_one(Desk, town.desk_id).crowd_size == 40
    assert mia.post(address, {**form.values, "crowd_size": "many"}).status == 422
