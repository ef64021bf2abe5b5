"""What to bring to an appointment: what its services ask for, and what the answers to questions before it add."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from booking.appointments.models import Appointment
from booking.townhall.models import Service
from booking.townhall.questions import Walk, questions_in, walk


def to_bring(appointments: Iterable[Appointment], language: str) -> list[str]:
    """What to bring to these appointments of one booking, each thing once."""
    found: list[str] = []
    for appointment in appointments:
        for item in appointment.items:
            found += item.service.text(language).bring
            found += added(item.service, answers_in(appointment.booking.answers), language)
    return list(dict.fromkeys(found))


def added(service: Service, answers: Sequence[int], language: str) -> list[str]:
    """What these answers to the questions of the service ask for beside the usual."""
    return _walked(service, answers, language).bring if answers else []


def answers_in(words: str | None) -> list[int]:
    """The answers, each by its place, as they are kept."""
    return [int(word) for word in (words or "").split()]


def answers_kept(service: Service, answers: Sequence[int], language: str) -> str | None:
    """What is kept of the answers: all of them where they ask for something to bring, else nothing."""
    way = _walked(service, answers, language)
    return " ".join(map(str, answers[: len(way.steps)])) if way.bring else None


def _walked(service: Service, answers: Sequence[int], language: str) -> Walk:
    return walk(questions_in(service.text(language).questions or ""), answers)
