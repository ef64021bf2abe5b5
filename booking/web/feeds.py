"""The feeds that calendar clients fetch. Never a redirect, a cookie or a 401: clients give up on those."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from email.utils import format_datetime

from flask import Blueprint, Response, abort, current_app, g, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy.exc import OperationalError

from booking.calendars.feed import (
    Cancelled,
    FeedBody,
    FeedRevoked,
    FeedUnknown,
    feed_body,
    feed_for,
    last_served,
    note_fetch,
)
from booking.calendars.feed import not_modified as is_not_modified
from booking.db import begin_write, db
from booking.web.language import preferred_of_all
from booking.web.pages import failure, now
from booking.web.towns import town

feeds = Blueprint("feeds", __name__)

TRACED_EVERY = timedelta(minutes=1)


@feeds.get("/feeds/<token>.ics")
def feed(token: str) -> Response:
    """The feed's events, 304 when nothing changed, 404 for unknown tokens, 410 for revoked ones."""
    keys = current_app.extensions["balie"]["settings"].keys
    show = Cancelled.HIDDEN if request.args.get("cancelled") == "hide" else Cancelled.SHOWN
    try:
        row = feed_for(keys, town().id, token)
    except FeedUnknown:
        abort(404)
    except FeedRevoked:
        abort(410)
    made = answer(feed_body(row, now(), show))
    _trace(row.id)
    return made


def _trace(feed_id: int) -> None:
    """Counts the fetch in memory, and writes the counts down once a minute: a trace, not worth a write each time."""
    traces: Counter[int] = current_app.extensions["balie"].setdefault("traces", Counter())
    traces[feed_id] += 1
    written_at: datetime | None = current_app.extensions["balie"].get("traced_at")
    if written_at is not None and now() - written_at < TRACED_EVERY:
        return
    current_app.extensions["balie"]["traced_at"] = now()
    db.session.rollback()
    begin_write()
    for id, count in [(id, traces.pop(id)) for id in list(traces)]:
        note_fetch(id, now(), count)
    db.session.commit()


def answer(body: FeedBody) -> Response:
    """200 with the bytes or 304 without, with the same validators (RFC 9110 15.4.5)."""
    unchanged = is_not_modified(body, request.headers.get("If-None-Match"), request.headers.get("If-Modified-Since"))
    response = Response(b"" if unchanged else body.content, 304 if unchanged else 200)
    response.headers["ETag"] = body.etag
    response.headers["Last-Modified"] = format_datetime(body.last_modified, usegmt=True)
    response.headers["Cache-Control"] = "private, max-age=0, must-revalidate"
    response.headers["Content-Type"] = "text/calendar; charset=utf-8"
    response.headers["Content-Disposition"] = 'inline; filename="agenda.ics"'
    return response


def database_away(_error: OperationalError) -> ResponseReturnValue:
    """When the database is away: a process that served this feed within a day serves it again; all else waits."""
    g.language = preferred_of_all()
    g.town = None
    token = (request.view_args or {}).get("token")
    body = last_served(token, now()) if request.endpoint == "feeds.feed" and token else None
    if body is not None:
        return answer(body)
    text = _("The database does not answer. Nothing was lost; try again in a minute.")
    return failure(503, _("We are back in a minute"), text)
