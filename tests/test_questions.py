"""The questions before a visit: what may be written, where answers lead, and that every way ends."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from booking.config import ROOT
from booking.db import db
from booking.staff.models import Role
from booking.townhall.catalogue import read_catalogue
from booking.townhall.models import Municipality, OnlineVisit, Service
from booking.townhall.online import online_visits
from booking.townhall.questions import question_problems, questions_in, walk
from booking.townhall.revisions import raise_town
from booking.townhall.sheets import SheetError
from tests.conftest import MONDAY, Clock
from tests.factories import LANGUAGES, PASSWORD, Town, make_staff
from tests.pages import Visitor
from tests.test_admin import ADMIN, fill

pytestmark = pytest.mark.citizen

TREE = """1. Is it stolen?
- Yes => wedding
- No => 2
- I found it => stop: Then all is well.
2. Who comes?
- Only I
- My partner too => people 2; bring: both cards
"""
BASE = "/testdorp/en/service/passport"
REAL = (ROOT / "booking" / "demo" / "services.csv").read_bytes()


@pytest.fixture
def visitor(app: Flask, town: Town) -> Visitor:
    ask_questions(app, town)
    return Visitor(app)


def ask_questions(app: Flask, town: Town) -> None:
    """The passport has questions, and can be done online."""
    with app.app_context():
        service = db.session.get_one(Service, town.passport_id)
        service.online, service.online_url = "yes", "https://www.example.org/passport"
        for text in service.texts:
            text.questions = TREE
        raise_town(db.session.get_one(Municipality, town.municipality_id), MONDAY)
        db.session.commit()


def problems(text: str, **others: str) -> list[str]:
    return question_problems({"en": text, **others}, 4, {"passport", "wedding"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Is it stolen?", "Line 1 of the questions: begin a question with its number"),
        ("- Yes", "Line 1 of the questions"),
        ("1. Who?\n- I", "give it 2 to 8 answers"),
        ("2. Who?\n- I\n- You", "Number the questions 1, 2, 3"),
        ("1. Who?\n- I => 1\n- You", "to a later question only"),
        ("1. Who?\n- I => 7\n- You", "to a later question only"),
        ("1. Who?\n- I => marriage\n- You", "there is no service “marriage”"),
        ("1. Who?\n- I => people 9\n- You", "people must be 1 to 4"),
        ("1. Who?\n- I => wedding; stop: No\n- You", "to one place only"),
        ("1. Who?\n- I => Over there!\n- You", "“Over there!” is none of"),
        ("1. Who?\n- I => stop:\n- You", "is none of"),
    ],
)
def test_what_cannot_work_is_said_in_words(context: Flask, text: str, words: str) -> None:
    assert any(words in problem for problem in problems(text)), problems(text)


def test_every_language_asks_the_same(context: Flask) -> None:
    assert problems(TREE, nl=TREE) == []
    assert "the same numbers, answers and arrows" in problems(TREE, nl=TREE.replace("people 2", "people 3"))[0]
    assert "the same numbers, answers and arrows" in problems(TREE, nl="")[0]
    assert problems("", nl="") == []


LINE = st.one_of(
    st.builds("{}. Which?".format, st.integers(1, 5)),
    st.builds("- Yes => {}".format, st.integers(1, 6)),
    st.sampled_from(["- No", "- Both => people 2; bring: it", "- Off => wedding", "- End => stop: no", "", "nonsense"]),
)


@given(st.lists(LINE, max_size=20), st.lists(st.integers(0, 9), max_size=20))
def test_every_way_ends_and_no_text_breaks(lines: list[str], answers: list[int]) -> None:
    questions = questions_in("\n".join(lines))
    way = walk(questions, answers)
    assert len(way.steps) <= len(answers)

    if not question_problems_without_words("\n".join(lines)):
        assert len(walk(questions, [0] * 50).steps) <= len(questions)


def question_problems_without_words(text: str) -> bool:
    """Whether anything is wrong; outside an application there is no language to say it in."""
    try:
        return bool(problems(text))
    except RuntimeError:
        return True


def test_the_demo_towns_questions_are_right_and_a_wrong_one_is_named_by_its_line(context: Flask) -> None:
    rows = read_catalogue(REAL, LANGUAGES, ("building", "civil", "economy"))
    assert sum(bool(row.texts["nl"]["questions"]) for row in rows) >= 2

    with pytest.raises(SheetError) as refusal:
        read_catalogue(REAL.replace(b"=> kids_id_apply", b"=> kids"), LANGUAGES, ("building", "civil", "economy"))

    assert "Line 2 (eid_apply): Question 1: there is no service “kids”." in refusal.value.problems


def test_answers_lead_to_people_and_papers(visitor: Visitor) -> None:
    service = visitor.get(BASE)
    page = visitor.get(service.link("/questions"))
    assert "Is it stolen?" in page.text

    second = visitor.get(f"{BASE}/questions?step=1&a=1")
    assert "Is it stolen? No Change" in second.text and "Who comes?" in second.text
    end = visitor.follow(visitor.get(f"{BASE}/questions?step=2&a=1&a=1"))

    assert "25 minutes" in end.text  # two people
    assert "both cards (because of your answers)" in end.text
    assert any("people=3" in link and "a=1&a=1" in link for link in end.links)


def test_answers_lead_to_another_service_or_to_none(visitor: Visitor) -> None:
    assert visitor.get(f"{BASE}/questions?a=0").location == "/testdorp/en/service/wedding"

    page = visitor.get(f"{BASE}/questions?a=2")

    assert "You need not come" in page.text and "Then all is well." in page.text
    assert page.link("/online")


def test_no_answer_is_said_and_strange_ones_are_not_given(visitor: Visitor) -> None:
    assert "Choose an answer, then continue." in visitor.get(f"{BASE}/questions?step=1").text
    assert "Is it stolen?" in visitor.get(f"{BASE}/questions?a=99&a=x&a=-1").text
    assert visitor.get("/testdorp/en/service/wedding/questions").location == "/testdorp/en/service/wedding"


def test_who_does_it_online_is_counted(visitor: Visitor, app: Flask, town: Town, clock: Clock) -> None:
    for _ in range(2):
        answer = visitor.get(f"{BASE}/online")
        assert answer.location == "https://www.example.org/passport"
        answer.response.close()
    clock.advance(days=1)
    visitor.get(f"{BASE}/online").response.close()

    with app.app_context():
        assert sorted(row.count for row in db.session.query(OnlineVisit)) == [1, 2]
        today = clock().date()
        assert online_visits(town.passport_id, today) == 3
        assert online_visits(town.passport_id, today + timedelta(days=90)) == 0
    assert visitor.get("/testdorp/en/service/wedding/online").status == 404


@pytest.fixture
def manager(app: Flask, visitor: Visitor, town: Town) -> Visitor:
    with app.app_context():
        make_staff(town.municipality_id, "anna@testdorp.example.org", Role.ADMINISTRATOR).language = "en"
        db.session.commit()
    visitor.sign_in("testdorp", "anna@testdorp.example.org", PASSWORD)
    return visitor


def written(text: str) -> dict[str, str]:
    return {f"questions-{language}": text for language in LANGUAGES} | {"online_url": "https://www.example.org/new"}


def test_an_administrator_writes_the_questions(manager: Visitor, town: Town) -> None:
    path = f"/services/{town.passport_id}/questions"
    assert "Followed 0 times" in manager.get(f"{ADMIN}{path}").text

    wrong = fill(manager, path, **written("1. Who?\n- I => 9\n- You"))
    assert wrong.status == 422 and "to a later question only" in wrong.text
    preview = fill(manager, path, **written("1. Who is it?\n- I\n- You"), preview="fr")
    assert "Who is it?" in preview.text and preview.status == 200
    assert "Is it stolen?" in manager.get(f"{BASE}/questions").text  # nothing is saved yet

    saved = fill(manager, path, **written("1. Who is it?\n- I\n- You"))

    assert "The questions are saved." in manager.follow(saved).text
    assert "Who is it?" in manager.get(f"{BASE}/questions").text
    assert manager.get(f"{BASE}/online").location == "https://www.example.org/new"
