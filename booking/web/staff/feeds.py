"""The addresses of the calendar feeds: to copy into a calendar program, and to replace when they leaked."""

from __future__ import annotations

from flask import abort, current_app, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from booking.calendars.feed import feed_token
from booking.calendars.models import Feed
from booking.db import db
from booking.staff.accounts import may
from booking.staff.audit import member, record
from booking.staff.models import Role
from booking.townhall.models import Desk
from booking.web.guards import current_staff, require
from booking.web.pages import now, outside
from booking.web.staff import staff
from booking.web.staff.agenda import own_desks
from booking.web.towns import town


@staff.get("/feeds")
def feeds() -> ResponseReturnValue:
    """The feeds of one's own desks, with their addresses."""
    account = current_staff()
    desk_ids = [desk.id for desk in own_desks(account)]
    query = select(Feed).join(Desk).where(Feed.municipality_id == town().id, Feed.desk_id.in_(desk_ids))
    rows = db.session.scalars(query.order_by(Feed.id)).all()
    keys = current_app.extensions["balie"]["settings"].keys
    addresses = {feed.id: outside(url_for("feeds.feed", token=feed_token(keys, feed))) for feed in rows}
    replaceable = {feed.id for feed in rows if may(account, Role.LEAD, feed.desk_id)}
    return render_template("staff/feeds.html", feeds=rows, addresses=addresses, replaceable=replaceable)


@staff.post("/feeds/<int:id>/replace")
def replace_feed(id: int) -> ResponseReturnValue:
    """Gives the feed a new address; the old one is answered with 410 from now on."""
    feed = db.session.scalar(select(Feed).where(Feed.id == id, Feed.municipality_id == town().id)) or abort(404)
    account = require(Role.LEAD, feed.desk_id)
    feed.generation += 1
    record(member(account), "replace_feed", ("feed", feed.id), now())
    db.session.commit()
    return redirect(url_for("staff.feeds", replaced=id), 303)
