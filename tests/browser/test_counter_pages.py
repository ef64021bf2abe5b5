"""Every page of the counter and of the waiting room in the longest language, small and large, light and dark; the
kiosk's way back to its start, and what the screen lets be heard."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from sqlalchemy import select, update

from booking import links
from booking.appointments.agenda import appointments_of
from booking.appointments.models import Appointment, VisitState
from booking.appointments.visits import Press, state_of, take_step, take_ticket, visit_at
from booking.db import begin_write, db
from booking.outbox.models import Message
from booking.planning.by_office import cancel_by_office
from booking.planning.models import Cause
from booking.staff.audit import member
from booking.staff.models import Device, DeviceKind, Staff
from booking.townhall.models import Desk
from tests.browser.conftest import House, opened, running, sign_in
from tests.browser.test_pages import ADMINISTRATOR, judge
from tests.conftest import KEYS, MONDAY

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NOW = MONDAY + timedelta(hours=1, minutes=47)
CLERK = "bart.hermans@lindebeek.example.org"
KIOSK, SCREEN = 1, 2
PANELS = ("expected", "arrived", "called", "serving", "parked", "served", "missed", "left", "cancelled")


@pytest.fixture(scope="module")
def house(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The demo town hall read in German, with a visit in each state, a kiosk, a screen and somebody to call."""
    folder = tmp_path_factory.mktemp("counter")
    shutil.copy(sqlite_template, folder / "balie.sqlite")
    with running(f"sqlite:///{folder / 'balie.sqlite'}", folder, NOW) as house, house.app.app_context():
        begin_write()
        db.session.execute(update(Staff).values(language="de"))
        db.session.execute(update(Staff).where(Staff.email == CLERK).values(has_totp=True))
        desk = db.session.get_one(Desk, 1)
        for kind in (DeviceKind.KIOSK, DeviceKind.DISPLAY):
            db.session.add(Device(office_id=desk.office_id, kind=kind, name="Halle", made_at=NOW))
            db.session.flush()
        _somebody_to_call(desk)
        db.session.commit()
        db.session.remove()
        yield house


def _press(counter_id: int | None = None) -> Press:
    staff = db.session.scalars(select(Staff).where(Staff.email == ADMINISTRATOR)).one()
    return Press(member(staff), NOW, counter_id)


def _today(desk: Desk) -> list[Appointment]:
    return list(appointments_of(desk, NOW.date(), ZoneInfo("Europe/Brussels")))


def _somebody_to_call(desk: Desk) -> None:
    """A message about an appointment to come that reached nobody."""
    later = next(one for one in reversed(_today(desk)) if one.is_booked and one.booking.email)
    query = select(Message).where(Message.subject_kind == "appointment", Message.subject_id == later.id)
    db.session.scalars(query).first().to_call_at = NOW  # type: ignore[union-attr]


def visits_in_each_state(house: House) -> dict[str, int]:
    """An appointment of today for each state of a visit."""
    with house.app.app_context():
        begin_write()
        desk = db.session.get_one(Desk, 1)
        found = {state_of(one).value: one.id for one in _today(desk)}
        free = [counter.id for counter in desk.counters if visit_at(counter.id) is None]
        for name, steps in (
            ("parked", ("call", "begin", "park")),
            ("left", ("arrive", "leave")),
            ("called", ("call",)),
        ):
            if name not in found:
                if not free:
                    take_step("serve", visit_at(desk.counters[0].id), _press())  # type: ignore[arg-type]
                    free.append(desk.counters[0].id)
                one = next(one for one in _today(desk) if state_of(one) == VisitState.EXPECTED)
                for step in steps:
                    take_step(step, one, _press(free[0]))
                found[name] = one.id
        one = next(one for one in reversed(_today(desk)) if state_of(one) == VisitState.EXPECTED)
        cancel_by_office(one, Cause.FAULT, one.sequence, _press().actor, NOW)
        found["cancelled"] = one.id
        db.session.commit()
        found |= {state_of(one).value: one.id for one in _today(desk) if one.id not in found.values()}
    return found


def enter(page: Page, house: House) -> None:
    """Signs in, and waits until that is done."""
    sign_in(page, house, ADMINISTRATOR)
    page.wait_for_selector(".bar__out")


def go(page: Page, address: str) -> None:
    answer = page.goto(address)
    assert answer and answer.ok, address


def signed_in_device(context: BrowserContext, house: House, id: int) -> Page:
    with house.app.app_context():
        generation = db.session.get_one(Device, id).generation
    page = context.new_page()
    go(page, f"{house.url}/lindebeek/device/{links.token(KEYS, 'device', id, generation)}")
    judge(page, "nl")
    page.locator("main button").click()
    page.wait_for_selector("h1")
    return page


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (320, "dark"), (1280, "light"), (1280, "dark")], ids=str)
def test_every_page_of_the_counter(house: House, chromium: Browser, width: int, scheme: str) -> None:
    states = visits_in_each_state(house)
    assert set(PANELS) <= set(states)
    with opened(chromium, viewport={"width": width, "height": 900}, color_scheme=scheme, locale="de-DE") as context:
        page = context.new_page()
        sign_in(page, house, CLERK)  # who has a second factor
        page.wait_for_selector("#digits")
        judge(page, "de")
        enter(page, house)
        for path in pages_of(states):
            go(page, f"{house.url}/lindebeek/staff/{path}")
            judge(page, "de")
        go(page, f"{house.url}/lindebeek/staff/appointment/{states['expected']}/cancel")
        page.locator("main button[type=submit]").click()
        page.wait_for_selector(".kern-fieldset--error")
        judge(page, "de")
        go(page, f"{house.url}/lindebeek/staff/account")
        page.fill("#password", house.sign_ins[ADMINISTRATOR])
        page.locator("main form button").first.click()
        page.wait_for_selector(".qr")
        judge(page, "de")


def pages_of(states: dict[str, int]) -> list[str]:
    panels = [f"agenda/1/2026-11-23?open={states[name]}" for name in PANELS]
    with_list = f"agenda/1/2026-11-23?view=list&open={states['expected']}"
    others = ("week/1/2026-11-23", "counter/1", "calls", "account", "queue/1", "devices", "book?q=pass", "search?q=m")
    entering = ("afterwards/1/2026-11-20", "afterwards/1/2026-11-23", f"appointment/{states['expected']}/cancel")
    papers = (f"booked/{states['expected']}", f"booked/{states['expected']}?letter=1", "outbox")
    return [*panels, with_list, *others, *entering, *papers]


@pytest.mark.parametrize("path", ["agenda/1/2026-11-23", "agenda/1/2026-11-23?view=list", "week/1/2026-11-23"])
def test_what_is_printed_has_no_buttons_and_is_as_wide_as_the_paper(house: House, chromium: Browser, path: str) -> None:
    with opened(chromium, viewport={"width": 794, "height": 1123}, locale="de-DE") as context:  # A4
        page = context.new_page()
        enter(page, house)
        go(page, f"{house.url}/lindebeek/staff/{path}")
        page.emulate_media(media="print")
        for pressed in page.locator("button, nav").all():
            expect(pressed).to_be_hidden()
        assert page.evaluate("document.documentElement.scrollWidth") <= 794


def test_the_bar_of_the_staff_is_one_line_on_a_desk(house: House, chromium: Browser) -> None:
    with opened(chromium, viewport={"width": 1280, "height": 900}, locale="de-DE") as context:
        page = context.new_page()
        enter(page, house)
        middles = """() => [".bar__tabs", ".bar__out"].map((name) => {
            const box = document.querySelector(name).getBoundingClientRect();
            return box.top + box.height / 2;
        })"""
        tabs, out = page.evaluate(middles)
        assert abs(tabs - out) < 10


@pytest.mark.parametrize("width", [1024, 1280])
def test_the_heads_of_the_counters_stay_in_sight(house: House, chromium: Browser, width: int) -> None:
    with opened(chromium, viewport={"width": width, "height": 768}, locale="de-DE") as context:
        page = context.new_page()
        enter(page, house)
        go(page, f"{house.url}/lindebeek/staff/agenda/1")
        last = page.locator(".grid tbody th").last
        last.scroll_into_view_if_needed()
        expect(page.locator(".grid__counter").first).to_be_in_viewport()


@pytest.mark.parametrize("width", [320, 1280])
def test_every_page_of_the_waiting_room(house: House, chromium: Browser, width: int) -> None:
    for scheme in ("light", "dark"):
        with opened(chromium, viewport={"width": width, "height": 900}, color_scheme=scheme) as context:
            kiosk = signed_in_device(context, house, KIOSK)
            for path in (
                "kiosk",
                "kiosk/appointment",
                "kiosk/walk-in",
                "kiosk/walk-in/1",
                "kiosk/walk-in/1?question=1",
            ):
                go(kiosk, f"{house.url}/lindebeek/de/device/{path}")
                judge(kiosk, "de")
            kiosk.locator(".kiosk__choice").first.click()
            kiosk.wait_for_selector(".kiosk__number")
            judge(kiosk, "de")
            go(kiosk, f"{house.url}/lindebeek/de/device/kiosk/appointment")
            kiosk.fill("#code", "nothing")
            kiosk.keyboard.press("Enter")
            kiosk.wait_for_selector("#problem")
            judge(kiosk, "de")
            screen = signed_in_device(context, house, SCREEN)
            go(screen, f"{house.url}/lindebeek/de/device/display")
            judge(screen, "de")


def test_a_kiosk_that_nobody_touches_asks_and_goes_back_to_its_start(house: House, chromium: Browser) -> None:
    with opened(chromium, viewport={"width": 1080, "height": 1920}) as context:
        page = signed_in_device(context, house, KIOSK)
        page.clock.install()
        go(page, f"{house.url}/lindebeek/de/device/kiosk/appointment")
        page.keyboard.type("AB")
        page.clock.fast_forward(44_000)
        expect(page.locator("#still-there")).to_be_hidden()
        page.clock.fast_forward(2_000)
        expect(page.locator("#still-there")).to_be_visible()

        page.keyboard.press("Enter")  # yes, I need more time

        expect(page.locator("#still-there")).to_be_hidden()
        expect(page.locator("#code")).to_have_value("AB")
        page.clock.fast_forward(46_000)
        page.clock.fast_forward(16_000)
        page.wait_for_url("**/de/device/kiosk")
        expect(page.locator("#code")).to_have_count(0)


HEARD = """
window.heard = [];
window.AudioContext = class {
  currentTime = 0;
  createOscillator() { return { frequency: {}, connect: (to) => to, start: () => heard.push("tone"), stop() {} }; }
  createGain() { return { gain: { setValueAtTime() {}, exponentialRampToValueAtTime() {} }, connect: (to) => to }; }
};
window.SpeechSynthesisUtterance = class { constructor(text) { this.text = text; } };
const speak = (words) => heard.push(`${words.lang}: ${words.text}`);
Object.defineProperty(window, "speechSynthesis", { value: { speak } });
"""


def test_the_screen_chimes_and_speaks_when_somebody_is_called_and_only_if_wanted(
    house: House, chromium: Browser
) -> None:
    with opened(chromium) as context:
        screen = signed_in_device(context, house, SCREEN)
        screen.add_init_script(HEARD)
        screen.clock.install()
        go(screen, f"{house.url}/lindebeek/de/device/display")
        first = call_somebody(house)
        screen.clock.run_for(3_500)
        expect(screen.locator(".call__number")).to_have_text(str(first))
        assert screen.evaluate("heard") == []

        screen.locator("#speak").click()
        second = call_somebody(house)
        screen.clock.run_for(3_500)
        expect(screen.locator(".call__number")).to_have_text(str(second))

        heard = screen.evaluate("heard")
        assert heard.count("tone") == 4  # once when it was switched on, once for the call
        assert heard[-1] == f"de: Nummer {second}, Schalter 1"
        screen.clock.run_for(10_000)
        assert screen.evaluate("heard") == heard  # each call once


def call_somebody(house: House) -> int:
    """A walk-in is called to the first counter; their number."""
    with house.app.app_context():
        begin_write()
        desk = db.session.get_one(Desk, 1)
        here = visit_at(desk.counters[0].id)
        if here is not None:
            take_step("serve", here, _press())
        visit = take_ticket(desk, None, 1, _press())
        take_step("call", visit, _press(desk.counters[0].id))
        number = visit.number or 0
        db.session.commit()
    return number
