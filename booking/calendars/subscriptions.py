"""Which feed a secret address opens, and what it covers; kept in memory by the revision of the municipality."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from weakref import WeakKeyDictionary

from flask_babel import force_locale, gettext
from sqlalchemy import Engine, event, inspect, select
from sqlalchemy.orm import Session

from booking import links
from booking.calendars.models import Detail, Feed
from booking.db import db
from booking.spoken import locale_of
from booking.staff.models import EVERYWHERE, Place, Staff, StaffRole
from booking.townhall.models import Counter, Service
from booking.townhall.revisions import is_raised_here, raise_all, raise_towns
from booking.townhall.standing import Standing

PURPOSE = "feed"


class FeedUnknown(Exception):
    """We never gave out this token, or not for this municipality: 404, at which clients keep what they have."""


class FeedRevoked(Exception):
    """A genuine token that has been replaced, revoked or has ended: 410, at which clients stop asking."""


@dataclass(frozen=True)
class Scope:
    """Which appointments a feed shows, and how much of each. Feeds of the same scope share their bytes."""

    title: str
    detail: Detail
    counter_ids: frozenset[int]
    office_ids: tuple[int, ...]  # whose changes it follows
    service_id: int | None = None  # only appointments with it


@dataclass(frozen=True)
class Subscription:
    """A feed as it stands; `places` are where the roles of its member of staff hold, if it is somebody's own."""

    feed: Feed
    is_revoked: bool
    places: frozenset[Place] = frozenset()


@dataclass(frozen=True)
class _Kept:
    revision: int
    subscriptions: Mapping[int, Subscription]
    scopes: dict[int, Scope]  # by feed, as they are asked for


_kept: WeakKeyDictionary[Engine, dict[int, _Kept]] = WeakKeyDictionary()


def feed_token(keys: links.Keys, feed: Feed) -> str:
    """The secret part of the feed's address; raising `feed.generation` gives it another."""
    return links.token(keys, PURPOSE, feed.id, feed.generation)


def subscribed(keys: links.Keys, town: Standing, token: str, today: date) -> tuple[Feed, Scope]:
    """The feed that this token opens and what it shows. Raises FeedUnknown, FeedRevoked.

    Asks no database while the municipality is as it was.
    """
    claimed = links.claim(keys, PURPOSE, token)
    kept = _feeds_of(town)
    found = kept.subscriptions.get(claimed.id) if claimed else None
    if claimed is None or found is None or claimed.generation > found.feed.generation:
        raise FeedUnknown
    if claimed.generation < found.feed.generation or not is_alive(found, today):
        raise FeedRevoked
    if found.feed.id not in kept.scopes:
        kept.scopes[found.feed.id] = scope_of(found, town)
    return found.feed, kept.scopes[found.feed.id]


def subscriptions(town: Standing) -> list[Subscription]:
    """All feeds of the municipality, in the order in which they were made."""
    return list(_feeds_of(town).subscriptions.values())


def is_alive(subscription: Subscription, today: date) -> bool:
    """Whether the feed is answered on this local day."""
    last_on = subscription.feed.last_on
    return not subscription.is_revoked and (last_on is None or today <= last_on)


def scope_of(subscription: Subscription, town: Standing) -> Scope:
    """What the feed shows, as the municipality stands."""
    feed = subscription.feed
    counters = [one for one in town.counters.values() if _covers(subscription, one)]
    followed = {one.desk.office_id for one in counters}
    if feed.staff_id is not None:
        followed = set(town.offices)  # who goes to another office must not go back to what that one last changed
    return Scope(
        title=title_of(feed, town),
        detail=feed.detail,
        counter_ids=frozenset(one.id for one in counters),
        office_ids=tuple(sorted(followed)),
        service_id=feed.service_id,
    )


def title_of(feed: Feed, town: Standing) -> str:
    """The name of the calendar in the municipality's language: "Burgerzaken, Loket 2 · Stadhuis"."""
    language = town.municipality.language
    with force_locale(locale_of(language)):
        if feed.counter_id is not None:
            counter = town.counters[feed.counter_id]
            return f"{counter_name(counter, language)} · {counter.desk.office.name(language)}"
        if feed.desk_id is not None:
            desk = next(one for one in town.desks if one.id == feed.desk_id)
            return f"{desk.name(language)} · {desk.office.name(language)}"
        if feed.office_id is not None:
            return f"{town.offices[feed.office_id].name(language)} · {town.municipality.name(language)}"
        if feed.service_id is not None:
            return f"{service_name(town.services_by_id[feed.service_id], town)} · {town.municipality.name(language)}"
        mine: str = gettext("My desks")
        return f"{mine} · {town.municipality.name(language)}"


def counter_name(counter: Counter, language: str) -> str:
    """ "Burgerzaken, Loket 2". In the locale of the moment."""
    number: str = gettext("Counter %(number)s", number=counter.number)
    return f"{counter.desk.name(language)}, {number}"


def service_name(service: Service, town: Standing) -> str:
    """The service in the municipality's language; a sensitive one stays unnamed. In the locale of the moment."""
    if service.is_sensitive:
        unnamed: str = gettext("A service")
        return unnamed
    return service.text(town.municipality.language).name


def _covers(subscription: Subscription, counter: Counter) -> bool:
    feed, desk = subscription.feed, counter.desk
    if feed.staff_id is not None:
        return bool(subscription.places & {EVERYWHERE, Place(office_id=desk.office_id), Place(desk_id=desk.id)})
    is_here = feed.counter_id == counter.id or feed.desk_id == desk.id
    return is_here or feed.office_id == desk.office_id or feed.service_id is not None


def _feeds_of(town: Standing) -> _Kept:
    by_town = _kept.setdefault(db.engine, {})
    found = by_town.get(town.municipality.id)
    if found is None or found.revision != town.revision:
        found = _Kept(town.revision, _loaded(town.municipality.id), {})
        if not is_raised_here():
            by_town[town.municipality.id] = found
    return found


def _loaded(municipality_id: int) -> Mapping[int, Subscription]:
    """All feeds of the municipality, in two queries. What is kept belongs to no session."""
    with Session(db.session.connection()) as session:
        of_town = Feed.municipality_id == municipality_id
        query = select(Feed, Staff.is_active).outerjoin(Staff, Staff.id == Feed.staff_id).where(of_town)
        rows = session.execute(query.order_by(Feed.id)).all()
        places: dict[int, set[Place]] = defaultdict(set)
        mine = select(StaffRole).where(StaffRole.staff_id.in_([feed.staff_id for feed, _ in rows if feed.staff_id]))
        for role in session.scalars(mine):
            places[role.staff_id].add(role.place)
        session.expunge_all()
    return {
        feed.id: Subscription(
            feed, feed.revoked_at is not None or is_active is False, frozenset(places.get(feed.staff_id or 0, ()))
        )
        for feed, is_active in rows
    }


@event.listens_for(Session, "after_flush")
def _raise_what_feeds_are_kept_by(session: Session, _context: object) -> None:
    """Whoever changes a feed, or who works where, raises what it is kept by, also who did not think of it."""
    changed = [*session.new, *session.deleted, *(one for one in session.dirty if session.is_modified(one))]
    towns = {one.municipality_id for one in changed if isinstance(one, Feed)}
    if towns:
        raise_towns(towns)
    for id in sorted(set(_towns_of_staff(session, changed))):
        raise_all(id)


def _towns_of_staff(session: Session, changed: Iterable[object]) -> Iterable[int]:
    """The municipalities in which somebody got or lost a desk, or their account."""
    for one in changed:
        if isinstance(one, Staff) and one not in session.new:
            seen = inspect(one).attrs
            if seen.is_active.history.has_changes() or seen.roles.history.has_changes():
                yield one.municipality_id
        if isinstance(one, StaffRole):
            staff = session.get(Staff, one.staff_id)
            if staff is not None:
                yield staff.municipality_id
