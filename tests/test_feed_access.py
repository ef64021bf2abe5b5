"""Who may fetch a feed, what a client has already, and what is there when the database is away."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from hypothesis import example, given
from hypothesis import strategies as st

from booking import links
from booking.calendars import feed as feed_module
from booking.calendars.feed import (
    FeedBody,
    FeedRevoked,
    FeedUnknown,
    feed_for,
    feed_token,
    last_served,
    not_modified,
    note_fetch,
)
from booking.db import db
from tests.conftest import KEYS, MONDAY, Clock
from tests.factories import Town, make_town
from tests.test_feed import TEN, add, fetch, http_date, make_feed, statements

pytestmark = pytest.mark.calendars


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
            feed_for(KEYS, town.municipality_id, wrong)
    with pytest.raises(FeedUnknown):
        feed_for(KEYS, other.municipality_id, token)
    with pytest.raises(FeedUnknown):
        feed_for((b"another key, another key, another",), town.municipality_id, token)
    assert feed_for((b"a newer key", *KEYS), town.municipality_id, token).desk_id == town.desk_id


def test_a_replaced_token_is_revoked_also_for_the_memory(context: Flask, town: Town, clock: Clock) -> None:
    token = make_feed(town)
    fetch(town, token, clock())
    feed = feed_for(KEYS, town.municipality_id, token)
    feed.generation += 1
    db.session.commit()

    with pytest.raises(FeedRevoked):
        feed_for(KEYS, town.municipality_id, token)

    assert last_served(token, clock()) is None
    assert feed_for(KEYS, town.municipality_id, feed_token(KEYS, feed)).id == feed.id


def test_what_was_served_within_a_day_is_there_when_the_database_is_away(
    context: Flask, town: Town, clock: Clock
) -> None:
    add(town)
    token = make_feed(town)
    assert last_served(token, clock()) is None
    body = fetch(town, token, clock())

    with statements() as seen:
        assert last_served(token, clock() + timedelta(hours=24)) == body
        assert last_served(token, clock() + timedelta(hours=24, seconds=1)) is None
        assert last_served("1-1-guessed", clock()) is None
    assert seen == []


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "KEPT_BODIES", 3)
    monkeypatch.setattr(feed_module, "KEPT_BYTES", 100)
    shelf: feed_module.Shelf[int, str] = feed_module.Shelf()

    for n in range(5):
        shelf.put(n, "small", 10)
    assert [shelf.get(n) for n in range(5)] == [None, None, "small", "small", "small"]
    shelf.put(4, "large", 90)
    assert [shelf.get(n) for n in range(5)] == [None, None, None, "small", "large"]
    shelf.put(9, "too large", 101)
    assert [shelf.get(n) for n in (3, 4, 9)] == [None, None, None]


def test_a_fetch_is_counted(context: Flask, town: Town, clock: Clock) -> None:
    feed = feed_for(KEYS, town.municipality_id, make_feed(town))
    for _ in range(2):
        note_fetch(feed.id, clock())
    db.session.commit()

    assert (feed.fetches, feed.fetched_at) == (2, MONDAY)


BODY = FeedBody(b"", '"abc"', TEN)
LATER, EARLIER = http_date(TEN + timedelta(seconds=1)), http_date(TEN - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("if_none_match", "if_modified_since", "is_same"),
    [
        (None, None, False),
        ('"abc"', None, True),
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
