"""The feeds that calendar clients fetch. Never a redirect, a cookie or a 401: clients give up on those."""

from __future__ import annotations

from email.utils import format_datetime

from flask import Blueprint, Response, abort, current_app, request
from sqlalchemy.exc import DBAPIError

from booking.calendars.feed import FeedBody, FeedRevoked, FeedUnknown, feed_body, feed_for, last_served, note_fetch
from booking.calendars.feed import not_modified as is_not_modified
from booking.db import db
from booking.web.pages import now
from booking.web.towns import town

feeds = Blueprint("feeds", __name__)


@feeds.get("/feeds/<token>.ics")
def feed(token: str) -> Response:
    """The feed's events, 304 when nothing changed, 404 for unknown tokens, 410 for revoked ones."""
    keys = current_app.extensions["balie"]["settings"].keys
    try:
        row = feed_for(keys, town().id, token)
    except FeedUnknown:
        abort(404)
    except FeedRevoked:
        abort(410)
    body = feed_body(row, now())
    note_fetch(row.id, now())
    db.session.commit()
    return answer(body)


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


def from_memory(_error: DBAPIError) -> Response:
    """When the database is away, a process that served this token within a day serves it again."""
    token = (request.view_args or {}).get("token")
    body = last_served(token, now()) if request.endpoint == "feeds.feed" and token else None
    if body is None:
        abort(503)
    return answer(body)
