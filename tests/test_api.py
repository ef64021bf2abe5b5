"""The interface for programs: it says what the pages say, as its description promises, and costs nothing twice."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from werkzeug.test import TestResponse

from booking.appointments.holds import hold
from booking.appointments.models import Occupancy
from booking.appointments.offers import Demand, offer
from booking.appointments.timelines import office_lines
from booking.config import ROOT
from booking.db import begin_write, db
from booking.townhall.models import Closure, Municipality, Office, Service
from tests.conftest import MONDAY, Clock
from tests.factories import Town, make_desk, make_office, make_town

pytestmark = pytest.mark.citizen

TIMES = "/testdorp/api/v1/services/passport/times"
TEN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)  # Tuesday, ten o'clock in Brussels
DESCRIPTION = json.loads((ROOT / "docs" / "openapi.json").read_text())


def ask(app: Flask, query: str = "", **headers: str) -> TestResponse:
    return app.test_client().get(f"{TIMES}{query}", headers=headers)


def times(app: Flask, query: str = "") -> list[str]:
    answer = ask(app, query)
    assert answer.status_code == 200, answer.text
    return [time for office in answer.get_json()["offices"] for time in office["times"]]


def matches(name: str, content: Any) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DESCRIPTION["components"]}
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(content)


def held(town: Town, clock: Clock, start: datetime = TEN) -> None:
    begin_write()
    office, service = db.session.get_one(Office, town.office_id), db.session.get_one(Service, town.passport_id)
    hold(office, Demand(service), start, clock())
    db.session.commit()


def test_the_description_is_valid_and_can_be_fetched(app: Flask, town: Town) -> None:
    validate(DESCRIPTION)

    assert app.test_client().get("/testdorp/api/v1/openapi.json").get_json() == DESCRIPTION


def test_the_answer_is_what_is_on_offer_and_what_the_description_says(app: Flask, town: Town, clock: Clock) -> None:
    content = ask(app).get_json()

    matches("FreeTimes", content)
    with app.app_context():
        office, service = db.session.get_one(Office, town.office_id), db.session.get_one(Service, town.passport_id)
        given_starts = list(offer(office_lines(office, clock()), Demand(service), clock()).starts)
    last = MONDAY + timedelta(days=30)
    expected = [start.isoformat() for start in given_starts if start.date() < last.date()]
    assert content["offices"][0]["times"] == expected
    assert content["offices"][0]["first_free"] == expected[0] == "2026-11-23T11:00:00+01:00"
    assert (content["minutes"], content["days"], content["from"]) == (15, 30, "2026-11-23")


def test_more_people_take_longer_and_other_days_are_other_times(app: Flask, town: Town) -> None:
    assert ask(app, "?people=4").get_json()["minutes"] == 45
    assert {time[:10] for time in times(app, "?from=2026-11-25&days=2")} == {"2026-11-25", "2026-11-26"}
    assert times(app, "?from=2020-01-01&days=7") == []


def test_each_office_that_does_it_has_its_part(app: Flask, town: Town) -> None:
    with app.app_context():
        municipality = db.session.get_one(Municipality, town.municipality_id)
        without_counters = make_office(municipality, 2)
        make_desk(without_counters)
        db.session.commit()
        other = without_counters.id

    assert [office["id"] for office in ask(app).get_json()["offices"]] == [town.office_id]
    assert [office["id"] for office in ask(app, f"?office={town.office_id}").get_json()["offices"]] == [town.office_id]
    assert ask(app, f"?office={other}").status_code == 404


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?people=0", "people must be from 1 to 4"),
        ("?people=5", "people must be from 1 to 4"),
        ("?people=two", "people must be a whole number"),
        ("?people=\u0662", "people must be a whole number"),
        ("?days=0", "days must be from 1 to 400"),
        ("?days=401", "days must be from 1 to 400"),
        ("?office=x", "office must be a whole number"),
        ("?from=tomorrow", "from must be a date like 2026-12-31"),
        ("?from=0001-01-01", "from must be a date between the years 2000 and 2200"),
    ],
)
def test_a_bad_question_is_told_what_to_do(app: Flask, town: Town, query: str, words: str) -> None:
    answer = ask(app, query)

    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")
    matches("Problem", answer.get_json())
    assert words in answer.get_json()["detail"]


def test_what_is_not_there_is_not_found_for_programs_too(app: Flask, town: Town) -> None:
    with app.app_context():
        make_town("elders")
        db.session.commit()
    missing = app.test_client().get("/testdorp/api/v1/services/nothing/times")

    assert (missing.status_code, missing.mimetype) == (404, "application/problem+json")
    matches("Problem", missing.get_json())
    assert app.test_client().get("/nowhere/api/v1/services/passport/times").status_code == 404
    assert app.test_client().post(TIMES).status_code in (400, 405)  # nothing can be changed here


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(query=st.dictionaries(st.sampled_from(["people", "office", "from", "days", "x"]), st.text(max_size=12)))
def test_whatever_is_asked_the_answer_is_one_of_those_described(app: Flask, town: Town, query: dict[str, str]) -> None:
    answer = app.test_client().get(TIMES, query_string=query)

    assert answer.status_code in (200, 400, 404)
    matches("FreeTimes" if answer.status_code == 200 else "Problem", answer.get_json())


def test_nothing_new_is_answered_without_a_body(app: Flask, town: Town) -> None:
    first = ask(app)

    again = ask(app, **{"If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert ask(app, **{"If-None-Match": '"something else"'}).status_code == 200
    assert app.test_client().head(TIMES).headers["ETag"] == first.headers["ETag"]
    assert "Set-Cookie" not in first.headers


def test_a_change_is_seen_in_the_next_answer(app: Flask, town: Town, clock: Clock) -> None:
    first = ask(app)
    with app.app_context():
        for _ in town.counter_ids:
            held(town, clock)

    second = ask(app, **{"If-None-Match": first.headers["ETag"]})

    assert second.status_code == 200
    assert {*times(app)} == {
        time
        for time in first.get_json()["offices"][0]["times"]
        if time not in ("2026-11-24T09:50:00+01:00", "2026-11-24T09:55:00+01:00")
        and time not in (f"2026-11-24T10:{minute:02}:00+01:00" for minute in (0, 5, 10))
    }


def test_a_closure_and_a_longer_visit_are_seen_too(app: Flask, town: Town) -> None:
    assert "2026-11-24T10:00:00+01:00" in times(app)
    with app.app_context():
        begin_write()
        closed = Closure(office_id=town.office_id, starts_at=TEN, ends_at=TEN + timedelta(hours=1), reasons={})
        db.session.add(closed)
        db.session.get_one(Service, town.passport_id).minutes = 20
        db.session.commit()

    assert "2026-11-24T10:00:00+01:00" not in times(app)
    assert ask(app).get_json()["minutes"] == 20


def test_time_alone_changes_the_answer(app: Flask, town: Town, clock: Clock) -> None:
    """The notice of two hours, the end of a hold, and midnight, with nothing changed in the database."""
    assert times(app)[0] == "2026-11-23T11:00:00+01:00"
    clock.advance(seconds=1)
    assert times(app)[0] == "2026-11-23T11:05:00+01:00"

    with app.app_context():
        for _ in town.counter_ids:
            held(town, clock)
    assert "2026-11-24T10:00:00+01:00" not in times(app)
    clock.advance(minutes=20)
    assert "2026-11-24T10:00:00+01:00" in times(app)
    with app.app_context():
        assert db.session.query(Occupancy).count() == 6  # nobody has tidied up

    before = times(app)[-1]
    clock.advance(days=1)
    assert times(app)[-1] > before
    assert times(app)[0].startswith("2026-11-24")
