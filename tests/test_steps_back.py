"""No step of the administration is a trap: each can be undone, or entered again, or asks for a name to be typed."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from booking.calendars.models import Feed
from booking.db import Base, db
from booking.staff.models import Device, DeviceKind, Identity, Role, Staff
from booking.townhall.models import Closure
from tests.conftest import MONDAY
from tests.factories import Town, make_staff
from tests.openid import set_provider
from tests.pages import Form, Page, Visitor
from tests.test_admin import ADMIN
from tests.test_admin_exchange import answer, exported, send
from tests.test_logo import picture, upload
from tests.test_staff_pages import signed_in

pytestmark = pytest.mark.townhall

STAFF = "/testdorp/staff"
ISSUER = "https://login.example.org"


@dataclass(frozen=True)
class Typed:
    """A step that ends something for good: the page that says so, where its form goes, and the name to type."""

    page: str
    action: str
    name: str


@dataclass(frozen=True)
class Again:
    """A form that shows what holds: sent as it stood, it brings back what was before `typed` was saved."""

    page: str
    action: str
    typed: dict[str, Any]


@dataclass(frozen=True)
class Undone:
    """A step with a button that takes it back: how it is taken, and where the form of the button goes."""

    take: Callable[[Visitor], Page]
    back: str


def pressed(page: str, action: str, **typed: str) -> Callable[[Visitor], Page]:
    """Opens the page and sends the form that goes there, with what is typed over it."""

    def take(visitor: Visitor) -> Page:
        form = main_form(visitor.get(page), action)
        return visitor.follow(visitor.post(form.action or page, {**form.values, **typed}))

    return take


def another_logo(visitor: Visitor) -> Page:
    return visitor.follow(upload(visitor, picture(size=(300, 60))))


TYPED = {
    "admin.do_removal": Typed(f"{ADMIN}/remove/counter/2", "", "Counter 2"),
    "admin.end_sign_in": Typed(f"{ADMIN}/sign-in", "/end", "Dorpslogin"),
    "admin.invite_again": Typed(f"{ADMIN}/staff/2", "/invite", "Mia"),
    "admin.forget_second_factor": Typed(f"{ADMIN}/staff/2", "/second-factor", "Mia"),
    "admin.forget_identity": Typed(f"{ADMIN}/staff/2", "/unlink", "Mia"),
    "staff.replace_feed": Typed(f"{STAFF}/feeds/1", "/replace", "Hall"),
    "staff.revoke_feed": Typed(f"{STAFF}/feeds/1", "/revoke", "Hall"),
    "staff.renew_device": Typed(f"{STAFF}/devices", "/renew", "Kiosk at the door"),
    "staff.end_device": Typed(f"{STAFF}/devices", "/end", "Kiosk at the door"),
}
AGAIN = {
    "admin.save_town": Again(f"{ADMIN}/town", "", {"hold_minutes": "25", "names-nl": "Elders", "retention_days": "3"}),
    "admin.save_office": Again(f"{ADMIN}/offices/1", "", {"address": "Kerkstraat 1", "directions-nl": ""}),
    "admin.save_desk": Again(f"{ADMIN}/desks/1", "", {"names-nl": "Balie", "releases-0-percent": "50"}),
    "admin.save_doing": Again(f"{ADMIN}/desks/1/services", "", {"doing": ["1.1"]}),
    "admin.save_service": Again(f"{ADMIN}/services/1", "", {"minutes": "20", "summary-nl": "Iets anders."}),
    "admin.save_questions": Again(f"{ADMIN}/services/1/questions", "", {"online_url": "https://example.org"}),
    "admin.save_staff": Again(f"{ADMIN}/staff/2", "", {"name": "Mia Peeters", "role-all": "lead"}),
    "staff.change_feed": Again(f"{STAFF}/feeds/1", "/change", {"name": "Another", "last_on": "2027-01-01"}),
    "staff.share": Again(f"{STAFF}/queue/1", "", {"grace": "30", "9": "50"}),
}
UNDONE = {
    "admin.revoke": Undone(pressed(f"{ADMIN}/staff/2", "/revoke"), "/revoke"),
    "admin.show_town_logo": Undone(pressed(f"{ADMIN}/town/logo", "/shown"), "/shown"),
    "admin.save_town_logo": Undone(another_logo, "/logo/former"),
    "admin.show_former_logo": Undone(pressed(f"{ADMIN}/town/logo", "/logo/former"), "/logo/former"),
    "admin.set_hours": Undone(pressed(f"{ADMIN}/hours/new?counter=1", "/hours/new", **{"week-0": "10-11"}), "/undo"),
    "admin.close": Undone(pressed(f"{ADMIN}/closures/new?office=1&on=2026-12-01", "/closures/new"), "/undo"),
    "admin.close_on_holidays": Undone(pressed(f"{ADMIN}/closures/holidays", "", day="2026-12-25"), "/undo"),
    "admin.reopen": Undone(pressed(f"{ADMIN}/closures", "/reopen"), "/undo"),
}
# Why nothing is lost by the others.
ADDS = {  # takes nothing away, and what it adds can be removed or shut
    "admin.add_counters",
    "admin.add_desk",
    "admin.add_office",
    "admin.add_service",
    "admin.add_staff",
    "staff.add_device",
    "staff.make_feed",
}
SAID_BEFORE = {  # changes nothing but what its own page lists first
    "admin.exchange_import",  # and what it changed can be put back, see below
    "admin.export",
    "admin.save_sign_in",  # asks the provider first, and never switches off the only way in
    "admin.send_change",  # what is sent by itself some minutes later
    "admin.send_link",
    "admin.send_links",
    "admin.undo_change",
    "admin.undo_saving",
}
OWNERS = {"staff.show_secret", "staff.turn_second_factor_on"}  # ask for what only the owner of the account can type
DAY = {  # the work at the counter; its steps are taken back where they are taken, see test_visits and its neighbours
    "staff.call",
    "staff.close_counter",
    "staff.confirm",
    "staff.do_cancel",
    "staff.enter_day",
    "staff.give_ticket",
    "staff.has_called",
    "staff.outbox_send_now",
    "staff.restore",
    "staff.sit",
    "staff.step_appointment",
    "staff.step_visit",
    "staff.take_entry_away",
    "staff.take_time",
    "staff.tell_late",
    "staff.tell_now",
    "staff.try_out",
}


@pytest.fixture
def ann(app: Flask, town: Town, management: None) -> Visitor:
    """Ann, in a town in which every step can be taken: Mia has a second factor and is known to the provider."""
    set_provider(app, town.municipality_id, ISSUER)
    with app.app_context():
        mia = db.session.scalars(select(Staff).where(Staff.name == "Mia")).one()
        mia.has_totp = True
        known = {"staff_id": mia.id, "municipality_id": town.municipality_id, "issuer": ISSUER}
        db.session.add(Identity(**known, subject="mia"))
        feed = {"municipality_id": town.municipality_id, "desk_id": town.desk_id, "name": "Hall", "made_at": MONDAY}
        db.session.add(Feed(**feed))
        device = {"office_id": town.office_id, "kind": DeviceKind.KIOSK, "made_at": MONDAY}
        db.session.add(Device(**device, name="Kiosk at the door"))
        db.session.commit()
    return signed_in(app, "ann")


def main_form(page: Page, action: str) -> Form:
    """The form that goes there; without an action, the one that goes to its own page."""
    found = [one for one in page.forms if one.method == "post" and not one.action.endswith("/sign-out")]
    return next(one for one in found if (one.action.endswith(action) if action else not one.action))


def rows(app: Flask, bookkeeping: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """All that the database holds, but for tries, the audit log and the tables and columns named."""
    apart = {"attempt", "audit_line", *bookkeeping}
    with app.app_context():
        found = {}
        for name, table in Base.metadata.tables.items():
            columns = [one for one in table.columns if one.name not in bookkeeping]
            if name not in apart and columns:
                found[name] = sorted(_plain(row) for row in db.session.execute(select(*columns)))
        return found


def _plain(row: Any) -> str:
    """A row as text; the order in which the languages of a text were kept says nothing."""
    return repr([sorted(value.items()) if isinstance(value, dict) else value for value in row])


COUNTED = ("id", "revision", "activity", "activity_at", "generation", "adjustment", "change")  # they only go on


def test_every_step_is_known_with_its_way_back(app: Flask) -> None:
    """Whoever adds a step says here why it is no trap."""
    posts = {rule.endpoint for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())}
    known = [*TYPED, *AGAIN, *UNDONE, *ADDS, *SAID_BEFORE, *OWNERS, *DAY]

    assert {one for one in posts if one.startswith(("admin.", "staff."))} == set(known)
    assert len(known) == len(set(known))


@pytest.mark.parametrize("endpoint", TYPED)
def test_nothing_ends_before_its_name_is_typed(app: Flask, ann: Visitor, endpoint: str) -> None:
    step = TYPED[endpoint]
    page = ann.get(step.page)
    assert f"Type exactly: {step.name}" in page.text
    form, before = main_form(page, step.action), rows(app)

    for typed in ("", "something else"):
        refused = ann.post(form.action or step.page, {**form.values, "typed": typed})

        assert refused.status == 422 and "Something is missing or not right" in refused.text
        assert "<title>Error: " in refused.response.text and "typed" in "".join(refused.links)
        assert rows(app) == before
    done = ann.post(form.action or step.page, {**form.values, "typed": f" {step.name.upper()} "})
    assert done.status == 303 and rows(app) != before


@pytest.mark.parametrize("endpoint", AGAIN)
def test_what_stood_in_a_form_can_be_entered_again(app: Flask, ann: Visitor, endpoint: str) -> None:
    step = AGAIN[endpoint]
    form = main_form(ann.get(step.page), step.action)
    assert ann.post(form.action or step.page, form.values).status == 303
    before = rows(app, COUNTED)

    assert ann.post(form.action or step.page, {**form.values, **step.typed}).status == 303
    assert rows(app, COUNTED) != before
    assert ann.post(form.action or step.page, form.values).status == 303

    assert rows(app, COUNTED) == before


@pytest.mark.parametrize("endpoint", UNDONE)
def test_what_has_an_undo_is_as_it_was_after_it(app: Flask, town: Town, ann: Visitor, endpoint: str) -> None:
    step = UNDONE[endpoint]
    upload(ann, picture(size=(200, 90)))
    upload(ann, picture())
    with app.app_context():
        times = {"starts_at": MONDAY.replace(month=12), "ends_at": MONDAY.replace(month=12, hour=9)}
        db.session.add(Closure(office_id=town.office_id, reasons={"nl": "Staking"}, **times))
        db.session.commit()
    before = rows(app, (*COUNTED, "former"))

    page = step.take(ann)
    assert rows(app, (*COUNTED, "former")) != before
    form = main_form(page, step.back)
    ann.press(form) if form.buttons else ann.send(form)

    assert rows(app, (*COUNTED, "former")) == before


def test_what_an_import_changed_can_be_put_back(app: Flask, town: Town, ann: Visitor) -> None:
    """Also after somebody else changed another line; what is new stays."""
    files, changed = exported(app, town), io.BytesIO()
    changes = [
        ("services", "passport,civil,15", "passport,civil,20"),
        ("services", "What it is.", "=What it was."),
        ("desks", ",5,0,", ",15,0,"),
        ("counters", "passport; wedding", "wedding"),
        ("staff", "lead all", "clerk all"),
    ]
    for name, old, new in changes:
        assert old in files[f"{name}.csv"], files[f"{name}.csv"]
        files[f"{name}.csv"] = files[f"{name}.csv"].replace(old, new)
    with zipfile.ZipFile(changed, "w") as file:
        for name in ("services", "desks", "counters", "staff"):
            file.writestr(f"{name}.csv", files[f"{name}.csv"])
    before = rows(app, (*COUNTED, "upload"))

    done = ann.send(answer(send(ann, changed.getvalue())))
    assert "All of it is imported." in done.text and rows(app, (*COUNTED, "upload")) != before
    left = ann.get(f"{ADMIN}/exchange")  # the way back stands there, too
    assert answer(left).values["upload"] == answer(done).values["upload"]
    looked = ann.send(answer(done))
    assert "passport : minutes: 20 → 15" in looked.text and "What the file would change" in looked.text
    assert "All of it is imported." in ann.send(answer(looked)).text

    assert rows(app, (*COUNTED, "upload")) == before


SAVED = [f"admin.save_{name}" for name in ("town", "office", "desk", "service", "questions")]


@pytest.mark.parametrize("endpoint", SAVED)
def test_a_form_that_was_saved_has_an_undo(app: Flask, ann: Visitor, endpoint: str) -> None:
    """Nobody need remember what stood there; and who undoes by mistake undoes that."""
    step = AGAIN[endpoint]
    form = main_form(ann.get(step.page), step.action)
    before = rows(app, COUNTED)

    page = ann.follow(ann.post(step.page, {**form.values, **step.typed}))
    after = rows(app, COUNTED)
    page = ann.follow(ann.send(undo_of(page)))
    assert "It is as it was before." in page.text and rows(app, COUNTED) == before
    assert ann.follow(ann.send(undo_of(page))).status == 200 and rows(app, COUNTED) == after


def test_what_somebody_changed_again_is_not_undone(app: Flask, town: Town, ann: Visitor) -> None:
    with app.app_context():
        make_staff(town.municipality_id, "max@testdorp.example.org", Role.MANAGER).language = "en"
        db.session.commit()
    max, step = signed_in(app, "max"), AGAIN["admin.save_service"]
    page = ann.follow(ann.post(step.page, {**main_form(ann.get(step.page), "").values, **step.typed}))
    again = max.follow(max.post(step.page, {**main_form(max.get(step.page), "").values, "minutes": "45"}))
    before = rows(app)

    undone = ann.send(undo_of(page))

    assert undone.status == 409 and "Somebody changed it again since." in undone.text and rows(app) == before
    assert max.send(undo_of(again)).status == 303 and rows(app) != before  # who was the last may


def undo_of(page: Page) -> Form:
    return next(form for form in page.forms if "/admin/undo/" in form.action)
