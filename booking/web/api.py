"""The interface for programs: free times as JSON, as docs/openapi.json describes it, with validators (RFC 9110).

The answer is made once and kept as bytes for as long as all that it derives from stays the same.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from threading import Lock
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from flask import Blueprint, Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException

from booking.appointments.offers import Demand, Offer, offer
from booking.appointments.timelines import OfficeLines, office_lines
from booking.config import ROOT
from booking.slots.clock import day_start, moment_of
from booking.slots.timeline import between, ticks_in
from booking.townhall.models import Office
from booking.web.pages import now
from booking.web.towns import here, seen_revisions

api = Blueprint("api", __name__)

DAYS, LONGEST = 30, 400
KEPT_BYTES = 16_000_000  # of answers, in each process
A_MINUTE = timedelta(minutes=1)


class BadQuestion(Exception):
    """The question has a part that cannot be answered; the text says which and what to do."""


@dataclass(frozen=True)
class Question:
    """What is asked: the free times of a service for so many people, at these offices, on `days` days from `first`."""

    demand: Demand
    offices: tuple[Office, ...]
    first: date | None
    days: int

    @property
    def key(self) -> tuple[object, ...]:
        return self.demand.service.id, self.demand.people, self.first, self.days, *(one.id for one in self.offices)


@dataclass(frozen=True)
class Answer:
    """Kept bytes: true for these lines until that moment."""

    lines: tuple[OfficeLines, ...]
    valid_until: datetime
    etag: str
    content: bytes


class KeptAnswers:
    """The answers asked for last, up to so many bytes; for many threads."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[object, ...], Answer] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def get(self, key: tuple[object, ...]) -> Answer | None:
        return self._answers.get(key)

    def put(self, key: tuple[object, ...], answer: Answer) -> None:
        with self._lock:
            old = self._answers.pop(key, None)
            self._size += len(answer.content) - (len(old.content) if old else 0)
            self._answers[key] = answer
            while self._size > KEPT_BYTES:
                self._size -= len(self._answers.popitem(last=False)[1].content)


_answers: WeakKeyDictionary[Flask, KeptAnswers] = WeakKeyDictionary()


@api.get("/openapi.json")
def description() -> Response:
    """What can be asked (OpenAPI 3.1)."""
    return Response((ROOT / "docs" / "openapi.json").read_bytes(), mimetype="application/json")


@api.get("/services/<key>/times")
def times(key: str) -> Response:
    """The free times of a service: ?people=, ?office=, ?from=, ?days=."""
    try:
        question = _question(key)
    except BadQuestion as error:
        return problem(400, str(error))
    if question is None:
        return problem(404, "There is no such service, or no office does it. The services have short names.")
    found = _answer(question, now())
    response = Response(status=304) if found.etag in request.if_none_match else Response(found.content)
    response.mimetype = "application/json"
    response.headers["ETag"] = f'"{found.etag}"'
    response.headers["Cache-Control"] = "no-cache"  # may be kept, and is asked for each time
    return response


def problem(status: int, detail: str) -> Response:
    """An error for programs (RFC 9457)."""
    content = json.dumps(
        {"status": status, "title": "Bad question" if status == 400 else "Not found", "detail": detail}
    )
    return Response(content, status, mimetype="application/problem+json")


@api.errorhandler(HTTPException)
def _refused(error: HTTPException) -> Response:
    return problem(error.code or 500, error.description or "")


def _question(key: str) -> Question | None:
    """The question of this request; None if there is nothing to ask about. Raises BadQuestion."""
    service = here().service(key)
    people, days = _number("people", 1), _number("days", DAYS)
    if service is None:
        return None
    if not 1 <= people <= service.max_people:
        raise BadQuestion(f"people must be from 1 to {service.max_people} for this service.")
    if not 1 <= days <= LONGEST:
        raise BadQuestion(f"days must be from 1 to {LONGEST}.")
    offices = here().offices_for(service)
    if "office" in request.args:
        wanted = _number("office", 0)
        offices = [office for office in offices if office.id == wanted]
    return Question(Demand(service, people), tuple(offices), _first(), days) if offices else None


def _number(name: str, otherwise: int) -> int:
    text = request.args.get(name, str(otherwise))
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise BadQuestion(f"{name} must be a whole number.")
    return int(text)


def _first() -> date | None:
    text = request.args.get("from")
    try:
        first = date.fromisoformat(text) if text is not None else None
    except ValueError as error:
        raise BadQuestion("from must be a date like 2026-12-31.") from error
    if first is not None and not 2000 <= first.year <= 2200:
        raise BadQuestion("from must be a date between the years 2000 and 2200.")
    return first


def _answer(question: Question, at: datetime) -> Answer:
    """The kept bytes where they are still true, else new ones."""
    known = seen_revisions()
    lines = tuple(office_lines(one, at, known[one.id]) for one in question.offices)
    kept = _answers.setdefault(current_app._get_current_object(), KeptAnswers())  # type: ignore[attr-defined]
    found = kept.get(question.key)
    is_true = found is not None and at < found.valid_until and len(found.lines) == len(lines)
    if found is not None and is_true and all(old is new for old, new in zip(found.lines, lines, strict=True)):
        return found
    found = _made(question, lines, at)
    kept.put(question.key, found)
    return found


def _made(question: Question, lines: Sequence[OfficeLines], at: datetime) -> Answer:
    zone = lines[0].horizon.zone
    first = question.first or at.astimezone(zone).date()
    offers = [offer(one, question.demand, at) for one in lines]
    window = range(day_start(first, zone), day_start(first + timedelta(days=question.days), zone))
    notice = timedelta(hours=question.demand.service.min_notice_hours)
    starts = [one.first - notice for one in offers if one.first is not None]
    until = min([*(one.valid_until for one in lines), *starts])
    offices = ",".join(
        _office_text(office, given, window) for office, given in zip(question.offices, offers, strict=True)
    )
    service = {"service": question.demand.service.key, "people": question.demand.people}
    facts = {**service, "minutes": question.demand.ticks * 5, "from": first.isoformat(), "days": question.days}
    content = f'{json.dumps(facts)[:-1]}, "offices": [{offices}]}}\n'.encode()
    return Answer(tuple(lines), max(until, at), hashlib.sha256(content).hexdigest()[:32], content)


def _office_text(office: Office, given: Offer, window: range) -> str:
    first = given.first
    facts = {
        "id": office.id,
        "names": office.names,
        "address": office.address,
        "zone": given.zone.key,
        "first_free": first and first.astimezone(given.zone).isoformat(),
    }
    mask = given.mask & between(window.start - given.base, window.stop - given.base)
    texts = (_tick_text(tick, given.zone) for tick in ticks_in(mask, given.base))
    return f'{json.dumps(facts)[:-1]}, "times": [{",".join(texts)}]}}'


@lru_cache(maxsize=65536)
def _tick_text(tick: int, zone: ZoneInfo) -> str:
    """The moment in the office's zone as a JSON string (RFC 3339)."""
    return f'"{moment_of(tick).astimezone(zone).isoformat()}"'
