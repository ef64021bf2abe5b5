"""The bytes of a calendar as clients fetch it, their validators, and what this process keeps of them."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from threading import Lock
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from icalendar import Calendar, vDuration, vText
from sqlalchemy import Engine

from booking.calendars.entry import new_calendar, one_line
from booking.db import db

SERVED_FOR = timedelta(hours=24)
SETTLING = timedelta(minutes=1)
REFRESH = timedelta(hours=1)
KEPT_BODIES = 300
KEPT_BYTES = 64_000_000
END = b"END:VCALENDAR\r\n"
_TAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True)
class FeedBody:
    """The bytes of a feed with their validators: a strong ETag in its quotes, and a moment in whole seconds."""

    content: bytes
    etag: str
    last_modified: datetime

    @property
    def packed_etag(self) -> str:
        """The ETag of the same bytes packed by gzip: other bytes, so another one (RFC 9110 8.8.3)."""
        return f'{self.etag[:-1]}-gzip"'


class Shelf(Generic[K, V]):
    """What was put in last: at most KEPT_BODIES things, of KEPT_BYTES in all; the oldest go out. Safe for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._things: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._size = 0

    def get(self, key: K) -> V | None:
        found = self._things.get(key)
        return found[0] if found else None

    def put(self, key: K, thing: V, size: int) -> None:
        with self._lock:
            self._drop(key)
            self._things[key] = (thing, size)
            self._size += size
            while self._things and (len(self._things) > KEPT_BODIES or self._size > KEPT_BYTES):
                self._drop(next(iter(self._things)))

    def drop(self, key: K) -> None:
        with self._lock:
            self._drop(key)

    def _drop(self, key: K) -> None:
        self._size -= self._things.pop(key, (None, 0))[1]


@dataclass(frozen=True)
class _Memory:
    """What this process keeps for one database: what it served at which address, and bodies packed by gzip."""

    served: Shelf[str, tuple[FeedBody, datetime]] = field(default_factory=Shelf)
    packed: Shelf[str, bytes] = field(default_factory=Shelf)


_memories: WeakKeyDictionary[Engine, _Memory] = WeakKeyDictionary()


def body_of(content: bytes, changed_at: datetime, now: datetime) -> FeedBody:
    """The body with its validators; `changed_at` is when anything in it last changed."""
    return FeedBody(content, f'"{hashlib.sha256(content).hexdigest()}"', settled(changed_at, now))


def settled(changed_at: datetime, now: datetime) -> datetime:
    """The Last-Modified to tell: never a moment at which another change may still be under way.

    A client that asks by date only would otherwise miss for ever a change of the same second as the one it has seen,
    or one that began before it and was committed after it.
    """
    return min(changed_at, now - SETTLING).astimezone(UTC).replace(microsecond=0)


def not_modified(body: FeedBody, if_none_match: str | None, if_modified_since: str | None) -> bool:
    """Whether a client with these request headers has the body already (RFC 9110 13.1.2, 13.1.3, 13.2.2).

    If-None-Match may be a list or `*`, is compared weakly, and counts alone where it is given. Never raises.
    """
    if if_none_match is not None:
        tags = _TAG.findall(if_none_match)
        return if_none_match.strip() == "*" or body.etag in tags or body.packed_etag in tags
    since = _http_date(if_modified_since or "")
    return since is not None and body.last_modified <= since


def packed(body: FeedBody) -> bytes:
    """The content packed by gzip, the same in every process; kept."""
    kept = _memory().packed
    found = kept.get(body.etag)
    if found is None:
        found = gzip.compress(body.content, 6, mtime=0)
        kept.put(body.etag, found, len(found))
    return found


def remember(address: str, body: FeedBody, now: datetime) -> None:
    """Notes what was served at this secret address: for when the database is away."""
    _memory().served.put(address, (body, now), len(body.content))


def forget_served(address: str) -> None:
    """The address was revoked: nothing is served there any more."""
    _memory().served.drop(address)


def last_served(address: str, now: datetime) -> FeedBody | None:
    """What this process served at this address within a day. Asks no database."""
    found = _memory().served.get(address)
    if found is None:
        return None
    body, served_at = found
    return body if now - served_at <= SERVED_FOR else None


def calendar_of(name: str, zone: str, events: Iterable[bytes]) -> bytes:
    """A snapshot without METHOD (RFC 5545 3.7.2): the frame with these events in it."""
    return b"".join([_frame(name, zone), *events, END])


@lru_cache(maxsize=1024)
def _frame(name: str, zone: str) -> bytes:
    """The calendar up to its events (RFC 7986 5.1, 5.7, and what Outlook and Apple read instead)."""
    calendar: Calendar = new_calendar(zone)
    for property_name in ("name", "x-wr-calname"):
        calendar.add(property_name, vText(one_line(name)))  # bare strings are not escaped here (icalendar 7.3)
    calendar.add("x-wr-timezone", vText(zone))
    calendar.add("refresh-interval", vDuration(REFRESH), parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", vDuration(REFRESH))
    frame: bytes = calendar.to_ical()
    return frame.removesuffix(END)


def _memory() -> _Memory:
    return _memories.setdefault(db.engine, _Memory())


def _http_date(text: str) -> datetime | None:
    """The moment of an HTTP date in any of its three forms (RFC 9110 5.6.7), or None."""
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
