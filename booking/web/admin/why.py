"""Why a time is offered or not, said in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from flask import render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from booking.appointments.offers import Demand
from booking.appointments.timelines import office_lines
from booking.planning.explain import Rule, Verdict, Why, explain
from booking.townhall.models import Office, Service
from booking.web.admin import admin
from booking.web.language import language
from booking.web.pages import MANY, now, options, today
from booking.web.towns import here, seen_revisions, town

WORDS = {
    Why.FREE: _l("free: it can be booked"),
    Why.CLOSURE: _l("closed in that time"),
    Why.HOURS: _l("outside its opening hours"),
    Why.TOO_LONG: _l("it closes before the visit would be over"),
    Why.GRID: _l("appointments do not start at this minute"),
    Why.WALK_INS: _l("kept for people without an appointment"),
    Why.UNRELEASED: _l("not released to citizens yet; staff may book it"),
    Why.BOOKED: _l("booked"),
    Why.HELD: _l("somebody is filling in the form for it"),
    Why.FREED: _l("given back; it returns within the minutes of the municipality, staff may book it now"),
    Why.BUFFER: _l("too close before the next appointment"),
}


@dataclass(frozen=True)
class Answer:
    office: Office
    verdict: Verdict


@admin.get("/why")
def why() -> ResponseReturnValue:
    """The question as a form, and the answer for each office that does the service (?service=&on=&at=, &office=)."""
    service, spoken = here().service(request.args.get("service", "")), language()
    moment, place = _moment(), _asked_office()
    answers: Sequence[Answer] = []
    if service is not None and moment is not None:
        answers = [_answer(office, Demand(service, _people(service)), moment) for office in _offices(service, place)]
    return render_template(
        "admin/why.html",
        chosen=service,
        moment=moment,
        people=_people(service) if service else 1,
        on=request.args.get("on", today().isoformat()),
        at=request.args.get("at", ""),
        answers=answers,
        words=WORDS,
        rule_in_words=_rule_in_words,
        counters=here().counters,
        services=options((one.key, one.text(spoken).name, one is service) for one in here().services),
        places=list(here().offices.values()),
        place=place,
    )


def _asked_office() -> Office | None:
    """The office that is asked about (?office=); where there are many, the first."""
    places = list(here().offices.values())
    asked = request.args.get("office", "")
    found = next((one for one in places if str(one.id) == asked), None)
    return found or (places[0] if len(places) > MANY else None)


def _offices(service: Service, asked: Office | None) -> Sequence[Office]:
    """The office that is asked about, or all; those that do the service."""
    return [office for office in here().offices_for(service) if asked is None or office.id == asked.id]


def _answer(office: Office, demand: Demand, at: datetime) -> Answer:
    lines = office_lines(office, now(), seen_revisions()[office.id])
    return Answer(office, explain(lines, demand, at, now()))


def _rule_in_words(rule: Rule, service: Service) -> str:
    words: dict[Rule, str] = {
        Rule.NOTICE: _("It is too soon: the service needs %(num)s hours of notice.", num=service.min_notice_hours),
        Rule.TOO_FAR: _("It is too far ahead: it can be booked %(num)s days ahead.", num=service.max_days_ahead),
        Rule.NO_TICK: _("Appointments begin on whole steps of five minutes."),
        Rule.PAST: _("This time is past."),
    }
    return words.get(rule, "")


def _moment() -> datetime | None:
    """The time in question, on the wall clock of the municipality."""
    try:
        found = datetime.fromisoformat(f"{request.args.get('on', '')}T{request.args.get('at', '')}")
    except ValueError:
        return None
    return found.replace(tzinfo=ZoneInfo(town().zone)) if 2000 <= found.year <= 2200 and not found.tzinfo else None


def _people(service: Service) -> int:
    text = request.args.get("people", "1")
    return min(max(int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 1, 1), service.max_people)
