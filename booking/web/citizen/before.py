"""Before a visit: a few questions that show what to come for, and the way to do it online."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import Flask, abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import OperationalError

from booking.db import begin_write, db
from booking.townhall.models import Service
from booking.townhall.online import note_online_visit
from booking.townhall.questions import Walk, questions_in, walk
from booking.web.citizen import citizen
from booking.web.citizen.times import answers_given
from booking.web.language import language
from booking.web.pages import today
from booking.web.towns import here


@citizen.get("/service/<key>/questions")
def questions(key: str) -> ResponseReturnValue:
    """The next question of the service's tree after the answers given (?a=0&a=2), or where they lead."""
    service = here().service(key) or abort(404)
    text = service.text(language()).questions
    if not text:
        return redirect(url_for("citizen.service", key=key))
    way = walk(questions_in(text), answers_given())
    if way.question is None and way.stop is None:
        return redirect(_end(service, way))
    return questions_page(service, way)


def questions_page(service: Service, way: Walk) -> str:
    """The question that comes next, or why nobody need come."""
    given = answers_given()[: len(way.steps)]
    pressed = request.args.get("step", "")
    return render_template(
        "citizen/questions.html",
        service=service,
        text=service.text(language()),
        way=way,
        given=given,
        forgot=way.question is not None and pressed == str(len(way.steps) + 1),
    )


@citizen.get("/service/<key>/online")
def online(key: str) -> ResponseReturnValue:
    """Leads to where the service can be done without coming; that it was followed is counted after the answer."""
    service = here().service(key) or abort(404)
    if not service.online_url:
        abort(404)
    answer = current_app.make_response(redirect(service.online_url))
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    answer.call_on_close(partial(_count, app, service.id, today()))
    return answer


def _end(service: Service, way: Walk) -> str:
    """The times of what the answers lead to; things to bring stay in the address."""
    key = way.service or service.key
    asked: dict[str, Any] = {"people": way.people, "a": answers_given() if way.bring and not way.service else None}
    return url_for("citizen.service", key=key, **asked)


def _count(app: Flask, service_id: int, on: Any) -> None:
    """Commits. What cannot be written is lost: a count is worth no error."""
    with app.app_context():
        try:
            begin_write()
            note_online_visit(service_id, on)
            db.session.commit()
        except OperationalError:
            db.session.rollback()
