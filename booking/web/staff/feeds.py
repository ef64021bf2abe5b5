"""Calendars of staff: make one, find its address again, rename it, give it another address, end it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import segno
from flask import abort, current_app, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import DateField, Field, RadioField, SelectField, StringField, ValidationError
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import DataRequired, Length, Optional

from booking.calendars.models import Detail, Feed
from booking.calendars.subscriptions import (
    Subscription,
    counter_name,
    feed_token,
    is_alive,
    scope_of,
    subscriptions,
    title_of,
)
from booking.db import db
from booking.staff.audit import member, record
from booking.staff.models import Role, Staff
from booking.web.forms import Form, stripped
from booking.web.guards import current_staff, may
from booking.web.language import language
from booking.web.pages import now, outside, today
from booking.web.staff import staff
from booking.web.towns import here, town
from booking.web.typed import TypedForm, not_typed, typed_forms

OWN = "own"
GOOGLE = "https://calendar.google.com/calendar/r?cid="
DETAILS = {
    Detail.BUSY: (_l("Busy only"), _l("That somebody comes, and where. For everybody.")),
    Detail.SERVICE: (_l("Service and reference"), _l("What is asked for. For those who prepare the day.")),
    Detail.INITIALS: (_l("Service, reference and initials"), _l("For those who call visitors in.")),
}


class ChangeForm(Form):
    name = StringField(
        _l("Who subscribes, or where"),
        filters=[stripped],
        validators=[
            DataRequired(_l("Say whose calendar it is, or where it is shown.")),
            Length(max=120, message=_l("Shorten it to 120 characters.")),
        ],
    )
    last_on = DateField(_l("Last day"), validators=[Optional()])

    def validate_last_on(self, field: Field) -> None:
        if field.data is not None and field.data < today():
            raise ValidationError(_l("Choose a day that is still to come, or none."))


class FeedForm(ChangeForm):
    subject = SelectField(_l("Which appointments"), invalid_choice_message=_l("Choose one from the list."))  # type: ignore[call-arg]
    detail = RadioField(
        _l("How much it says"),
        choices=[SelectChoice(one.value, words[0]) for one, words in DETAILS.items()],
        default=Detail.SERVICE.value,
    )


@staff.get("/feeds")
def feeds() -> ResponseReturnValue:
    """The calendars that one may see, those that have ended last."""
    shown = [one for one in subscriptions(here()) if _may(one, Role.CLERK)]
    shown.sort(key=lambda one: not is_alive(one, today()))
    rows = [(one, _title(one), is_alive(one, today())) for one in shown]
    traces = {feed.id: feed for feed in db.session.query(Feed).filter(Feed.id.in_([one.feed.id for one in shown]))}
    return render_template("staff/feeds.html", rows=rows, traces=traces, details=DETAILS)


@staff.get("/feeds/new")
def new_feed() -> ResponseReturnValue:
    """Which appointments, how much of them, and for whom."""
    return _new_page(_new_form())


@staff.post("/feeds/new")
def make_feed() -> ResponseReturnValue:
    """Makes a calendar of one's own desks, or of what one leads."""
    form, account = _new_form(), current_staff()
    if not form.validate():
        return _new_page(form), 422
    kind, _dash, id = (form.subject.data or "").partition("-")
    made = Feed(
        municipality_id=town().id,
        detail=Detail(form.detail.data),
        name=form.name.data or "",
        last_on=form.last_on.data,
        made_at=now(),
        generation=1,
    )
    setattr(made, "staff_id" if kind == OWN else f"{kind}_id", account.id if kind == OWN else int(id))
    db.session.add(made)
    db.session.flush()
    return _done(made, "make_feed", "made")


@staff.get("/feeds/<int:id>")
def feed(id: int) -> ResponseReturnValue:
    """The address, as text, links and code to scan, and how to use it; who fetched it last."""
    found = _found(id, Role.CLERK)
    return _feed_page(found, ChangeForm(obj=found.feed))


@staff.post("/feeds/<int:id>/change")
def change_feed(id: int) -> ResponseReturnValue:
    """Another name, another last day."""
    found, form = _found(id, Role.LEAD), ChangeForm()
    if not form.validate():
        return _feed_page(found, form), 422
    row = _row(found)
    row.name, row.last_on = form.name.data or "", form.last_on.data
    return _done(row, "change_feed", "changed")


@staff.post("/feeds/<int:id>/replace")
def replace_feed(id: int) -> ResponseReturnValue:
    """Gives the feed a new address; the old one is answered with 410 from now on."""
    found = _found(id, Role.LEAD)
    row = _row(found)
    if refused := not_typed(row.name, "replace"):
        return _feed_page(found, ChangeForm(formdata=None, obj=row), refused), 422
    row.generation += 1
    return _done(row, "replace_feed", "replaced")


@staff.post("/feeds/<int:id>/revoke")
def revoke_feed(id: int) -> ResponseReturnValue:
    """Ends the feed: its address is answered with 410 from now on."""
    found = _found(id, Role.LEAD)
    row = _row(found)
    if refused := not_typed(row.name, "revoke"):
        return _feed_page(found, ChangeForm(formdata=None, obj=row), refused), 422
    row.revoked_at = row.revoked_at or now()
    return _done(row, "revoke_feed", "revoked")


def _done(row: Feed, action: str, did: str) -> ResponseReturnValue:
    record(member(current_staff()), action, ("feed", row.id), now())
    db.session.commit()
    return redirect(url_for("staff.feed", id=row.id, did=did), 303)


def _found(id: int, role: Role) -> Subscription:
    """The feed, if one has the role for it; else 404."""
    found = next((one for one in subscriptions(here()) if one.feed.id == id), None)
    return found if found is not None and _may(found, role) else abort(404)


def _row(found: Subscription) -> Feed:
    return db.session.get_one(Feed, found.feed.id)


def _may(subscription: Subscription, role: Role) -> bool:
    """One's own calendar is one's own; for others one needs the role at every desk that they cover."""
    account, staff_id = current_staff(), subscription.feed.staff_id
    if staff_id is not None:
        return bool(staff_id == account.id)
    return all(may(account, role, desk_id) for desk_id in _desks_of(subscription.feed))


def _desks_of(feed: Feed) -> list[int | None]:
    """None stands for all desks of the municipality."""
    if feed.counter_id is not None:
        return [here().counters[feed.counter_id].desk_id]
    if feed.office_id is not None:
        return [desk.id for desk in here().desks if desk.office_id == feed.office_id]
    return [feed.desk_id]


def _title(subscription: Subscription) -> str:
    return title_of(subscription.feed, here())


def _new_form() -> FeedForm:
    form = FeedForm()
    form.subject.choices = [*_subjects(current_staff())]
    return form


def _subjects(account: Staff) -> Iterator[SelectChoice]:
    """What one may make a calendar of: one's own desks, and all that lies at desks that one leads."""
    words, spoken_in = here(), language()
    yield SelectChoice(OWN, _("All my desks"), optgroup=_("My own"))
    led = [desk for desk in words.desks if may(account, Role.LEAD, desk.id)]
    for desk in led:
        label = f"{desk.name(spoken_in)} · {desk.office.name(spoken_in)}"
        yield SelectChoice(f"desk-{desk.id}", label, optgroup=_("Desks"))
    for desk in led:
        for counter in desk.counters:
            label = f"{counter_name(counter, spoken_in)} · {desk.office.name(spoken_in)}"
            yield SelectChoice(f"counter-{counter.id}", label, optgroup=_("Counters"))
    for office in words.offices.values():
        if office.desks and set(office.desks) <= set(led):
            yield SelectChoice(f"office-{office.id}", office.name(spoken_in), optgroup=_("Offices"))
    if may(account, Role.LEAD, None):
        for service in words.services:
            if not service.is_sensitive:
                label = service.text(spoken_in).name
                yield SelectChoice(f"service-{service.id}", label, optgroup=_("Services"))


def _new_page(form: FeedForm) -> str:
    return render_template("staff/new_feed.html", form=form, details=DETAILS)


def _feed_page(found: Subscription, form: ChangeForm, refused: TypedForm | None = None) -> str:
    keys = current_app.extensions["balie"]["settings"].keys
    address = outside(url_for("feeds.feed", token=feed_token(keys, found.feed)))
    webcal = f"webcal://{address.partition('://')[2]}"
    words: dict[str, Any] = {
        "feed": _row(found),
        "title": _title(found),
        "detail": DETAILS[found.feed.detail][0],
        "is_alive": is_alive(found, today()),
        "is_empty": not scope_of(found, here()).counter_ids,
        "may_change": _may(found, Role.LEAD),
        "address": address,
        "webcal": webcal,
        "steps": typed_forms(found.feed.name, ("replace", "revoke"), refused),
        "problems": refused,
        "google": GOOGLE + quote(webcal, safe=""),
        "code": segno.make(webcal, micro=False, error="m").svg_data_uri(scale=4, border=3, light="#fff"),
    }
    return render_template("staff/feed.html", form=form, **words)
