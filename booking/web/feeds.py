"""The feeds that calendar clients fetch. Never a redirect, a cookie or a 401: clients give up on those."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NoReturn

from flask import Blueprint, Flask, Response, abort, current_app, g, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy.exc import OperationalError
from werkzeug.wsgi import ClosingIterator

from booking.calendars import body as bodies
from booking.calendars.body import FeedBody
from booking.calendars.citizen import own_booking, own_feed_body
from booking.calendars.clients import program
from booking.calendars.feed import Cancelled, feed_body, note_fetches
from booking.calendars.opening import opening_body
from booking.calendars.subscriptions import FeedRevoked, FeedUnknown, subscribed
from booking.db import begin_write, db
from booking.web.language import preferred_of_all
from booking.web.pages import failure, now, outside, today
from booking.web.towns import here, seen_activities, town

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

feeds = Blueprint("feeds", __name__)

TRACED_EVERY = timedelta(minutes=1)
WORTH_PACKING = 1_000  # bytes


@feeds.get("/feeds/<token>.ics")
def feed(token: str) -> Response:
    """Appointments for staff: 304 when nothing changed, 404 for unknown tokens, 410 for revoked ones."""
    keys = current_app.extensions["balie"]["settings"].keys
    show = Cancelled.HIDDEN if request.args.get("cancelled") == "hide" else Cancelled.SHOWN
    try:
        row, scope = subscribed(keys, here(), token, today())
    except FeedUnknown:
        abort(404)
    except FeedRevoked:
        _gone()
    answer = _served(feed_body(scope, here(), seen_activities(), now(), show))
    _trace(row.id, answer, now())
    return answer


@feeds.get("/feeds/own/<token>.ics")
def own(token: str) -> Response:
    """A citizen's own appointments."""
    keys = current_app.extensions["balie"]["settings"].keys
    try:
        booking = own_booking(keys, town().id, token)
    except FeedUnknown:
        abort(404)
    except FeedRevoked:
        _gone()
    find_url = outside(url_for("citizen.ask_find", lang=booking.language))
    return _served(own_feed_body(booking, find_url, now()))


@feeds.get("/feeds/opening/<int:id>-<lang>.ics")
def opening(id: int, lang: str) -> Response:
    """When an office is open and closed; for everybody."""
    office = here().offices.get(id)
    if office is None or lang not in town().languages:
        abort(404)
    return _served(opening_body(office, here(), lang, now()))


def database_away(_error: OperationalError) -> ResponseReturnValue:
    """When the database is away: a process that served this feed within a day serves it again; all else waits."""
    g.language = preferred_of_all()
    g.town = None
    body = bodies.last_served(_address(), now()) if (request.endpoint or "").startswith("feeds.") else None
    if body is not None:
        return _answer(body)
    text = _("The database does not answer. Nothing was lost; try again in a minute.")
    return failure(503, _("We are back in a minute"), text)


def _address() -> str:
    """What was asked for; the only part of the query that a feed knows is whether it hides what was cancelled."""
    hides = request.args.get("cancelled") == "hide"
    return f"{request.script_root}{request.path}{'?hide' if hides else ''}"


def _gone() -> NoReturn:
    """The address was revoked: its memory too."""
    for ending in ("", "?hide"):
        bodies.forget_served(f"{request.script_root}{request.path}{ending}")
    abort(410)


def _served(body: FeedBody) -> Response:
    bodies.remember(_address(), body, now())
    return _answer(body)


class _Kept(Response):
    """Bytes and headers that need no more thought: nothing is looked up, corrected or copied before they go out."""

    default_mimetype = None

    def get_wsgi_response(self, environ: WSGIEnvironment) -> tuple[Iterable[bytes], str, list[tuple[str, str]]]:
        content = () if environ["REQUEST_METHOD"] == "HEAD" else self.iter_encoded()
        return ClosingIterator(content, self.close), self.status, self.headers.to_wsgi_list()


def _answer(body: FeedBody) -> Response:
    """200 with the bytes or 304 without, with the same validators (RFC 9110 15.4.5)."""
    unchanged = bodies.not_modified(
        body, request.headers.get("If-None-Match"), request.headers.get("If-Modified-Since")
    )
    is_packed = len(body.content) >= WORTH_PACKING and request.accept_encodings.quality("gzip") > 0
    headers = [
        ("ETag", body.packed_etag if is_packed else body.etag),
        ("Last-Modified", _http_date(body.last_modified)),
        ("Cache-Control", "private, max-age=0, must-revalidate"),
        ("Vary", "Accept-Encoding"),
    ]
    if unchanged:
        return _Kept([], "304 NOT MODIFIED", headers)
    headers += [
        ("Content-Type", "text/calendar; charset=utf-8"),
        ("Content-Disposition", 'inline; filename="agenda.ics"'),
    ]
    if is_packed:
        return _Kept(bodies.packed(body), "200 OK", [*headers, ("Content-Encoding", "gzip")])
    return _Kept(body.content, "200 OK", headers)


@lru_cache(maxsize=1024)
def _http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


@dataclass
class _Traces:
    """The fetches that this process has not written down yet: by feed how many, by what program, and when."""

    waiting: dict[int, tuple[int, str, datetime]]
    written_at: datetime | None = None


def _trace(feed_id: int, answer: Response, at: datetime) -> None:
    """Counts the fetch in memory; once a minute what was counted is written down, after the answer has gone out."""
    traces: _Traces = current_app.extensions["balie"].setdefault("traces", _Traces({}))
    count = traces.waiting.get(feed_id, (0, "", at))[0]
    traces.waiting[feed_id] = (count + 1, program(request.headers.get("User-Agent", "")), at)
    if traces.written_at is None or at - traces.written_at >= TRACED_EVERY:
        traces.written_at = at
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        answer.call_on_close(partial(_write_down, app, traces))


def _write_down(app: Flask, traces: _Traces) -> None:
    """Commits. What cannot be written is lost: a trace is worth no error."""
    waiting, traces.waiting = traces.waiting, {}
    with app.app_context():
        try:
            begin_write()
            for id, (count, by, at) in sorted(waiting.items()):
                note_fetches(id, count, by, at)
            db.session.commit()
        except OperationalError:
            db.session.rollback()
