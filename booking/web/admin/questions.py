"""The questions before a visit and the address to do it online: written by an administrator, with a preview."""

from __future__ import annotations

from typing import Any

from flask import abort, g, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import refresh
from wtforms import Field, StringField, ValidationError

from booking.db import db
from booking.staff.models import Role
from booking.townhall.directory import service_by_id
from booking.townhall.models import Municipality, Service, ServiceText
from booking.townhall.online import online_visits
from booking.townhall.questions import is_address, question_problems, questions_in, walk
from booking.townhall.revisions import raise_town
from booking.web.admin import admin
from booking.web.admin.fields import ByLanguage
from booking.web.admin.frame import back_to, saved
from booking.web.citizen.before import questions_page
from booking.web.forms import Form, stripped
from booking.web.guards import require
from booking.web.pages import now, today
from booking.web.towns import here, town


class QuestionsForm(Form):
    """What is asked before somebody comes, in every language."""

    online_url = StringField(_l("Web address where it can be done online"), filters=[stripped])
    questions = ByLanguage(_l("Questions and answers"), 6000, needs="none", rows=14)

    def validate_online_url(self, field: Field) -> None:
        if field.data and not is_address(field.data):
            raise ValidationError(_l("Enter a web address like https://www.example.org/form, or nothing."))

    def texts(self) -> dict[str, str]:
        return {language: self.questions.text(language) for language in town().languages}


@admin.get("/services/<int:id>/questions")
def services_questions(id: int) -> ResponseReturnValue:
    row = _service(id)
    return _page(_filled(row), row)


@admin.post("/services/<int:id>/questions")
def save_questions(id: int) -> ResponseReturnValue:
    """Saves them, or with `preview` only shows the first question as a citizen would see it."""
    row = _service(id)
    form = _filled(row)
    if not _is_right(form, row):
        return _page(form, row), 422
    if request.form.get("preview") in town().languages:
        return _preview(form, row, request.form["preview"])
    raise_town(db.session.get_one(Municipality, town().id), now())
    row.online_url = form.online_url.data or None
    for text in row.texts:
        text.questions = form.texts().get(text.language, text.questions)
    return saved(
        ("service", id), "change_questions", _("The questions are saved."), back_to("services_questions", id=id)
    )


def _is_right(form: QuestionsForm, row: Service) -> bool:
    is_valid: bool = form.validate()
    problems = question_problems(form.texts(), row.max_people, {one.key for one in here().services})
    if problems:
        form.questions.errors = [*form.questions.errors, *problems]
    return is_valid and not problems


def _preview(form: QuestionsForm, row: Service, language: str) -> ResponseReturnValue:
    texts = form.texts()
    if not texts[language]:
        return _page(form, row)
    name = {text.language: text.name for text in row.texts}
    shown = Service(key=row.key, online_url=form.online_url.data or None)
    shown.texts = [ServiceText(language=one, name=name.get(one, row.key), questions=texts[one]) for one in texts]
    g.language = g.language_in_path = language
    refresh()
    return questions_page(shown, walk(questions_in(texts[language]), []))


def _filled(row: Service) -> QuestionsForm:
    values: dict[str, Any] = {"online_url": row.online_url or ""}
    values["questions"] = {text.language: text.questions for text in row.texts}
    return QuestionsForm(data=values)


def _service(id: int) -> Service:
    require(Role.MANAGER, None)
    return service_by_id(town(), id) or abort(404)


def _page(form: QuestionsForm, row: Service) -> str:
    return render_template("admin/questions.html", form=form, service=row, followed=online_visits(row.id, today()))
