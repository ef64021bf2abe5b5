"""The questions before a visit: a short tree whose answers change what is booked, or end in "you need not come".

Written a line each, the same shape in every language:

    1. Is your card stolen?
    - Yes => lost_id_report
    - No, it expires => 2
    - I found it again => stop: Then you need not come.
    2. Who comes?
    - Only I
    - My partner too => people 2; bring: both cards

A question begins with its number, an answer with a hyphen. After the arrow stands where it leads: the number of a later
question, the key of another service (with its own length, papers and desk), `people` and how many, `bring:` and one
more thing, or `stop:` and why nobody need come. An answer that leads nowhere ends the questions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from flask_babel import lazy_gettext as _l

MOST_QUESTIONS, MOST_ANSWERS = 12, 8
_QUESTION = re.compile(r"(\d{1,2})\.\s*(\S.*)")
_ANSWER = re.compile(r"-\s*(\S.*?)\s*(?:=>\s*(.*))?")


@dataclass(frozen=True)
class Answer:
    """What one may answer, and what it means."""

    says: str
    question: int | None = None  # the number of the next one
    service: str | None = None  # the key of the service to come for instead
    people: int | None = None
    bring: tuple[str, ...] = ()
    stop: str | None = None  # why nobody need come

    @property
    def shape(self) -> tuple[object, ...]:
        """What must be the same in every language."""
        return self.question, self.service, self.people, len(self.bring), self.stop is None


@dataclass(frozen=True)
class Question:
    number: int
    asks: str
    answers: tuple[Answer, ...] = ()

    @property
    def shape(self) -> tuple[object, ...]:
        return self.number, [answer.shape for answer in self.answers]


@dataclass(frozen=True)
class Walk:
    """Where the answers given so far lead: to a further question, or to an end."""

    steps: tuple[tuple[Question, Answer], ...]
    question: Question | None

    @property
    def bring(self) -> list[str]:
        return [thing for _question, answer in self.steps for thing in answer.bring]

    @property
    def people(self) -> int | None:
        return next((answer.people for _question, answer in reversed(self.steps) if answer.people), None)

    @property
    def service(self) -> str | None:
        return self.steps[-1][1].service if self.steps else None

    @property
    def stop(self) -> str | None:
        return self.steps[-1][1].stop if self.steps else None


def is_address(text: str) -> bool:
    """Whether it is a web address that citizens can be sent to."""
    return len(text) <= 300 and re.fullmatch(r"https?://[^\s/\"'<>]+(/[^\s\"'<>]*)?", text) is not None


@lru_cache(maxsize=1024)
def questions_in(text: str) -> tuple[Question, ...]:
    """The questions of a text that was checked."""
    return tuple(_read(text, []))


def walk(questions: Sequence[Question], given: Sequence[int]) -> Walk:
    """The way of the answers (each by its place, from 0); those that do not exist are not given."""
    by_number = {question.number: question for question in questions}
    question = questions[0] if questions else None
    steps: list[tuple[Question, Answer]] = []
    for place in given:
        if question is None or not 0 <= place < len(question.answers):
            break
        answer = question.answers[place]
        steps.append((question, answer))
        question = by_number.get(answer.question) if answer.question is not None else None
    return Walk(tuple(steps), question)


def question_problems(texts: Mapping[str, str], most_people: int, services: Set[str]) -> list[Any]:
    """What is wrong with the questions in these languages, in words; none where there are no questions."""
    problems: list[Any] = []
    read = {language: list(_read(text, problems)) for language, text in texts.items()}
    for found in read.values():
        problems += _unanswerable(found, most_people, services)
    if not problems and len({repr([question.shape for question in found]) for found in read.values()}) > 1:
        problems.append(_l("The questions must have the same numbers, answers and arrows in every language."))
    return list(dict.fromkeys(map(str, problems)))


def _read(text: str, problems: list[Any]) -> Iterator[Question]:
    """The questions of the lines; lines that are neither question nor answer are added to `problems`."""
    question: Question | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        begins, answers = _QUESTION.fullmatch(line.strip()), _ANSWER.fullmatch(line.strip())
        if begins:
            if question:
                yield question
            question = Question(int(begins[1]), begins[2])
        elif answers and question:
            answer = _answer(answers[1], answers[2] or "", number, problems)
            question = replace(question, answers=(*question.answers, answer))
        else:
            problems.append(
                _l(
                    "Line %(line)s of the questions: begin a question with its number and a full stop,"
                    " an answer with a hyphen.",
                    line=number,
                )
            )
    if question:
        yield question


def _answer(says: str, leads: str, line: int, problems: list[Any]) -> Answer:
    answer = Answer(says)
    for part in filter(None, map(str.strip, leads.split(";"))):
        word, _, rest = part.partition(":")
        if part.isascii() and part.isdigit():
            answer = replace(answer, question=int(part))
        elif re.fullmatch(r"people [0-9]{1,2}", part):
            answer = replace(answer, people=int(part.split()[1]))
        elif word == "bring" and rest.strip():
            answer = replace(answer, bring=(*answer.bring, rest.strip()))
        elif word == "stop" and rest.strip():
            answer = replace(answer, stop=rest.strip())
        elif re.fullmatch(r"[a-z0-9_-]{1,60}", part):
            answer = replace(answer, service=part)
        else:
            problems.append(
                _l(
                    "Line %(line)s of the questions: “%(part)s” is none of: a number, a service, people 2, bring: …,"
                    " stop: …",
                    line=line,
                    part=part,
                )
            )
    return answer


def _unanswerable(questions: Sequence[Question], most_people: int, services: Set[str]) -> Iterator[Any]:
    """What makes a way through the questions impossible or endless."""
    numbers = [question.number for question in questions]
    if numbers != list(range(1, len(numbers) + 1)) or len(numbers) > MOST_QUESTIONS:
        yield _l("Number the questions 1, 2, 3 …, at most %(num)s.", num=MOST_QUESTIONS)
    for question in questions:
        if not 2 <= len(question.answers) <= MOST_ANSWERS:
            yield _l("Question %(number)s: give it 2 to %(num)s answers.", number=question.number, num=MOST_ANSWERS)
        for answer in question.answers:
            yield from _wrong_way(question, answer, set(numbers), most_people, services)


def _wrong_way(
    question: Question, answer: Answer, numbers: Set[int], most_people: int, services: Set[str]
) -> Iterator[Any]:
    ends = [answer.question is not None, answer.service is not None, answer.stop is not None]
    if sum(ends) > 1:
        yield _l("Question %(number)s: an answer can lead to one place only.", number=question.number)
    if answer.question is not None and (answer.question not in numbers or answer.question <= question.number):
        yield _l("Question %(number)s: an answer can lead to a later question only.", number=question.number)
    if answer.service is not None and answer.service not in services:
        yield _l("Question %(number)s: there is no service “%(key)s”.", number=question.number, key=answer.service)
    if answer.people is not None and answer.service is None and not 1 <= answer.people <= most_people:
        yield _l("Question %(number)s: people must be 1 to %(num)s.", number=question.number, num=most_people)
