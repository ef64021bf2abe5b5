"""Who may fetch a feed, what a client has already, and what is there when the database is away."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from flask import Flask
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import select

from booking import links
from booking.calendars import body as body_module
from booking.calendars.body import FeedBody, Shelf, forget_served, last_served, not_modified, remember
from booking.calendars.feed import note_fetches
from booking.calendars.models import Feed
from booking.calendars.subscriptions import FeedRevoked, FeedUnknown, feed_token, subscribed
from booking.db import db
from booking.staff.models import Role
from tests.conftest import KEYS, MONDAY, Clock
from tests.factories import Town, make_staff, make_town
from tests.test_feed import TEN, here, http_date, make_feed, statements

pytestmark = pytest.mark.calendars


TODAY = MONDAY.date()


def opened(town: Town, token: str, keys: links.Keys = KEYS, on: date = TODAY) -> Feed:
    return subscribed(keys, here(town)[0], token, on)[0]


def test_unknown_tokens_and_those_of_other_towns_are_unknown(context: Flask, town: Town, clock: Clock) -> None:
    token, other = make_feed(town), make_town("elders")
    db.session.commit()
    id, generation, mac = token.split("-")
    ahead = links.token(KEYS, "feed", int(id), 2)  # genuine, but of a database that was set back since
    forged = [
        ahead,
        "",
        "-",
        "--",
        "x",
        token + "x",
        token[:-1],
        f"{id}-2-{mac}",
        f"99-{generation}-{mac}",
        "9" * 5_000,
    ]
    forged += [f"{id}-{generation}-", f"{id}-{generation}-{mac}-", f"-{id}-{generation}-{mac}", "١-1-x", "1-1-é"]

    for wrong in forged:
        with pytest.raises(FeedUnknown):
            opened(town, wrong)
    with pytest.raises(FeedUnknown):
        opened(other, token)
    with pytest.raises(FeedUnknown):
        opened(town, token, (b"another key, another key, another",))
    assert opened(town, token, (b"a newer key", *KEYS)).desk_id == town.desk_id


def test_a_replaced_token_is_revoked_and_the_new_one_opens(context: Flask, town: Town, clock: Clock) -> None:
    token = make_feed(town)
    assert opened(town, token).name == "An"
    feed = db.session.scalars(select(Feed)).one()
    feed.generation += 1
    db.session.commit()

    with pytest.raises(FeedRevoked):
        opened(town, token)
    assert opened(town, feed_token(KEYS, feed)).id == feed.id


def test_a_feed_ends_when_it_is_revoked_when_its_last_day_is_over_and_with_its_owners_account(
    context: Flask, town: Town, clock: Clock
) -> None:
    alice = make_staff(town.municipality_id, "alice@testdorp.example.org", Role.CLERK, town.desk_id)
    tokens = [make_feed(town), make_feed(town, last_on=MONDAY.date()), make_feed(town, staff_id=alice.id)]
    for token in tokens:
        opened(town, token)

    db.session.scalars(select(Feed).order_by(Feed.id)).first().revoked_at = clock()  # type: ignore[union-attr]
    alice.is_active = False
    db.session.commit()

    for token, day in zip(tokens, (0, 1, 0), strict=True):
        with pytest.raises(FeedRevoked):
            opened(town, token, on=MONDAY.date() + timedelta(days=day))
    assert opened(town, tokens[1])


def test_which_feed_it_is_costs_no_query_while_nothing_was_changed(context: Flask, town: Town, clock: Clock) -> None:
    token = make_feed(town)
    opened(town, token)
    db.session.rollback()

    with statements() as seen:
        opened(town, token)

    assert len(seen) == 1  # how the municipality stands


def test_what_was_served_within_a_day_is_there_when_the_database_is_away(
    context: Flask, town: Town, clock: Clock
) -> None:
    assert last_served("/a", clock()) is None
    remember("/a", BODY, clock())

    with statements() as seen:
        assert last_served("/a", clock() + timedelta(hours=24)) == BODY
        assert last_served("/a", clock() + timedelta(hours=24, seconds=1)) is None
        assert last_served("/b", clock()) is None
    assert seen == []
    forget_served("/a")
    assert last_served("/a", clock()) is None


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "KEPT_BODIES", 3)
    monkeypatch.setattr(body_module, "KEPT_BYTES", 100)
    shelf: Shelf[int, str] = Shelf()

    for n in range(5):
        shelf.put(n, "small", 10)
    assert [shelf.get(n) for n in range(5)] == [None, None, "small", "small", "small"]
    shelf.put(4, "large", 90)
    assert [shelf.get(n) for n in range(5)] == [None, None, None, "small", "large"]
    shelf.put(9, "too large", 101)
    assert [shelf.get(n) for n in (3, 4, 9)] == [None, None, None]


def test_a_fetch_is_counted(context: Flask, town: Town, clock: Clock) -> None:
    make_feed(town)
    feed = db.session.scalars(select(Feed)).one()
    note_fetches(feed.id, 2, "Thunderbird", clock())
    db.session.commit()

    assert (feed.fetches, feed.fetched_at, feed.fetched_by) == (2, MONDAY, "Thunderbird")


BODY = FeedBody(b"", '"abc"', TEN)
LATER, EARLIER = http_date(TEN + timedelta(seconds=1)), http_date(TEN - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("if_none_match", "if_modified_since", "is_same"),
    [
        (None, None, False),
        ('"abc"', None, True),
        ('"abc-gzip"', None, True),
        ('W/"abc"', None, True),
        ('"x", W/"y,z" , "abc"', None, True),
        ("*", None, True),
        ('"abcd"', None, False),
        ("", http_date(TEN), False),
        ('"x"', LATER, False),  # If-None-Match counts alone
        ('"abc"', EARLIER, True),
        (None, http_date(TEN), True),
        (None, LATER, True),
        (None, EARLIER, False),
        (None, "Tuesday, 24-Nov-26 09:00:00 GMT", True),
        (None, "Tue Nov 24 09:00:00 2026", True),
        (None, "yesterday", False),
        (None, "", False),
        (None, "Tue, 24 Nov 2026 09:00:00 +999999999999", False),
    ],
)
def test_conditional_requests(if_none_match: str | None, if_modified_since: str | None, is_same: bool) -> None:
    assert not_modified(BODY, if_none_match, if_modified_since) is is_same


dates = st.from_regex(r"(\w{3},? )?[+-]?\d{1,12}[ -]\w{3}[ -]\d{1,12} \d{1,9}(:\d{1,9}){0,3} ?([+-]\d{1,12}|\w{3})?")


@given(st.none() | st.text() | st.from_regex(r'(W/)?"?[^"]*"?(, ?.*)*'), st.none() | st.text() | dates)
@example(None, "0 Jan 0 0:0:0 -2359")
def test_no_header_is_too_strange(if_none_match: str | None, if_modified_since: str | None) -> None:
    assert not_modified(BODY, if_none_match, if_modified_since) in (True, False)
