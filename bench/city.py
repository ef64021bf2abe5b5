"""A big city, imported as its administrator would: 290 services, 110 offices, 1,000 counters; and its pages."""

from __future__ import annotations

import csv
import io
import statistics
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import select

from bench.browser import Browser, path_of
from bench.load import ask, get
from bench.measure import Run, Source, latencies, warm
from bench.reading import bare_select, sign_in_form
from bench.town import EMAIL, LANGUAGES, PASSWORD, SLUG, Plan, Town, busy_day, make_municipality
from booking.config import ROOT
from booking.db import begin_write, db
from booking.exchange.imports import Import
from booking.staff.accounts import add, grant
from booking.staff.audit import member
from booking.staff.models import Role, Staff
from booking.townhall.models import Counter, Desk, Municipality, Office, Service

CATALOGUE = ROOT / "booking" / "demo" / "services.csv"
SERVICES, OFFICES, COUNTERS = 290, 110, 1000
DESKS = {"civil": 1, "building": 3, "economy": 4}  # each in every so many offices
HOURS = (("08:00", "18:00"),)  # as the appointments of the bench lie
NAME = "city"  # of its database
SECONDS = 0.4  # of a burst; a round has one of each side
PAGE_BAR, STAFF_BAR = 6, 8  # as for the pages of a small town

PAGES = {
    "front page": ("/nl/", PAGE_BAR),
    "search": ("/nl/services?q=paspoort", PAGE_BAR),
    "service over all offices": ("/nl/service/eid_apply", PAGE_BAR),
    "service at one office": ("/nl/service/eid_apply?office={office}", PAGE_BAR),
    "agenda of a desk": ("/staff/agenda/{desk}/{day}", STAFF_BAR),
    "list of services": ("/staff/admin/services", STAFF_BAR),
    "list of offices": ("/staff/admin/offices", STAFF_BAR),
    "one desk": ("/staff/admin/desks/{desk}", STAFF_BAR),
    "hours": ("/staff/admin/hours", STAFF_BAR),
    "closing": ("/staff/admin/closures/new", STAFF_BAR),
    "why not": ("/staff/admin/why?service=eid_apply&on={day}&at=10:20", STAFF_BAR),
}

Row = Mapping[str, object]


def files() -> bytes:
    """The ZIP file of the city, made up from the real catalogue."""
    desks = [(office, key) for office in range(1, OFFICES + 1) for key, every in DESKS.items() if office % every == 0]
    places = [(*desks[n % len(desks)], n + 1) for n in range(COUNTERS)]
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        for name, rows in (
            ("offices", [_office(number) for number in range(1, OFFICES + 1)]),
            ("desks", [_desk(office, key) for office, key in desks]),
            ("services", list(_services())),
            ("counters", [_place(*place) for place in places]),
            ("hours", [row for place in places for row in _hours(_place(*place))]),
        ):
            file.writestr(f"{name}.csv", _csv(rows))
    return made.getvalue()


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _texts(name: str, text: str) -> dict[str, str]:
    return {f"{name}_{language}": text for language in LANGUAGES}


def _named(office: int) -> str:
    return f"Bezirk {office}"


def _office(number: int) -> Row:
    plain = {"office": _named(number), "address": f"Marktplatz {number}, 1000 Meetstad", "access": "step_free; lift"}
    texts = _texts("name", _named(number)) | _texts("directions", "Am Marktplatz, Eingang links.")
    return {**plain, "phone": "", "email": "", "walk_minutes": 5, "position": number, **texts}


def _desk(office: int, key: str) -> Row:
    plain = {"office": _named(office), "desk": key, "email": f"{key}-{office}@meetstad.example.org"}
    return {**plain, "step_minutes": 15, "buffer_minutes": 0, **_texts("name", key.title())}


def _place(office: int, key: str, number: int) -> dict[str, object]:
    return {"office": _named(office), "desk": key, "counter": number}


def _hours(place: Mapping[str, object]) -> Iterator[Row]:
    for weekday in range(1, 6):
        for opens, closes in HOURS:
            days = {"from": "2020-01-01", "until": "", "every_weeks": 1}
            yield {**place, "weekday": weekday, "opens": opens, "closes": closes, **days}


def _services() -> Iterator[Row]:
    """The real services again and again, each time as another kind of them."""
    with CATALOGUE.open(newline="") as file:
        real = list(csv.DictReader(file))
    for n in range(SERVICES):
        kind, row = divmod(n, len(real))
        again = dict(real[row])
        if kind:
            again |= {"key": f"{again['key']}_{kind}", "after": ""}
            again |= {f"questions_{language}": "" for language in LANGUAGES}
            again |= {f"name_{language}": f"{again[f'name_{language}']} ({kind})" for language in LANGUAGES}
        yield again


def make_city() -> tuple[Town, float, float]:
    """Imports the city into an empty municipality; its ids, and the seconds of dry run and import. Commits."""
    town = make_municipality()
    account = add(town.id, EMAIL, "An administrator", "nl", PASSWORD)
    grant(account, Role.ADMINISTRATOR)
    id, content = town.id, files()
    db.session.commit()
    dry = _seconds(id, content, is_for_good=False)
    real = _seconds(id, content, is_for_good=True)
    return _ids(id), dry, real


def _seconds(municipality_id: int, content: bytes, *, is_for_good: bool) -> float:
    began = time.perf_counter()
    begin_write()
    town = db.session.get_one(Municipality, municipality_id)
    author = db.session.scalars(select(Staff).where(Staff.municipality_id == municipality_id)).one()
    found = Import(town, content, member(author), datetime.now(UTC))
    for _done in found.carry_out({}) if is_for_good else found.preview():
        pass
    db.session.commit() if is_for_good else db.session.rollback()
    return time.perf_counter() - began


def _ids(municipality_id: int) -> Town:
    """The town as other figures know one; only appointments are still to be made."""
    offices = select(Office.id).where(Office.municipality_id == municipality_id).order_by(Office.position)
    counters = select(Counter.id, Desk.id.label("desk_id"), Desk.office_id).join(Desk).order_by(Counter.id)
    rows = db.session.execute(counters).all()
    services = select(Service.id).where(Service.municipality_id == municipality_id).order_by(Service.id)
    service_ids = tuple(db.session.scalars(services))
    office_ids = tuple(db.session.scalars(offices))
    return Town(
        municipality_id,
        office_ids,
        next(row.desk_id for row in rows if row.office_id == office_ids[-1]),
        tuple(row.id for row in rows),
        service_ids,
        {},
        busy_day(),
    )


def city(run: Run) -> None:
    """Imports the city, fills a week of it, and asks its pages."""
    seconds: list[float] = []

    def make() -> Town:
        town, *found = make_city()
        seconds.extend(found)
        return town

    run.progress.step("a big city is imported")
    run.databases.create(NAME, make)
    note = f"{SERVICES} services, {OFFICES} offices, {COUNTERS} counters and their hours"
    run.add("a big city: the dry run of its import", [seconds[0] * 1000], unit="ms", note=note)
    run.add("a big city: its import", [seconds[1] * 1000], unit="ms")
    run.databases.fill(NAME, Plan(OFFICES, COUNTERS, days_back=0, days_ahead=6))
    port, select = run.server(NAME).port, bare_select(run)
    staff = _signed_in(port)
    for words, path, bar in _pages(run.databases.towns[NAME]):
        ours: Source = (port, staff.get(path) if "/staff/" in path else get(path))
        size = len(ask(*ours).body)
        warm(ours, select)
        found = run.each_round(f"a big city: {words}", lambda ours=ours: _ratio(ours, select))  # type: ignore[misc]
        run.add(f"a big city: {words} p50 / bare SELECT p50", found, bar, note=f"{size / 1000:.0f} kB")


def _pages(town: Town) -> Iterator[tuple[str, str, float]]:
    """The pages, each with its path and its bar."""
    values = {"office": town.office_ids[0], "desk": town.desk_id, "day": town.busy_day}
    for words, (path, bar) in PAGES.items():
        yield words, f"/{SLUG}{path.format(**values)}", bar


def _signed_in(port: int) -> Browser:
    browser, path = Browser("10.0.0.1"), f"/{SLUG}/staff/sign-in"
    answer = browser.keep(ask(port, browser.post(path, sign_in_form(port, browser, path))))
    assert path_of(answer).startswith(f"/{SLUG}/staff"), answer.head
    return browser


def _ratio(ours: Source, select: Source) -> float:
    """Our median time to that of the bare SELECT, in a burst of each."""
    return statistics.median(latencies(ours, SECONDS)) / statistics.median(latencies(select, SECONDS))
