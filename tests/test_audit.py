"""The audit log: each change of staff leaves a line with who, when, what and from where, which nobody can edit."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from booking.appointments.models import Visit
from booking.appointments.visits import take_step, take_ticket, write_note
from booking.db import begin_write, db
from booking.privacy.forget import forget_due
from booking.staff.models import AuditLine
from booking.townhall.models import Desk
from tests.conftest import MONDAY
from tests.factories import Town
from tests.test_staff_pages import TODAY, appointment, of_panel, people, signed_in
from tests.test_visits import NINE, TEN, desk, press, subject

__all__ = ["desk", "people"]
pytestmark = pytest.mark.counter


@pytest.mark.usefixtures("people")
def test_a_line_says_who_when_what_and_from_where(app: Flask, town: Town) -> None:
    id = appointment(app, town)
    visitor = signed_in(app, "alice")
    form = of_panel(visitor.get(f"{TODAY}{town.desk_id}?open={id}"))
    visitor.post(f"/testdorp/staff/appointment/{id}/arrive", form.values)

    with app.app_context():
        lines = {one.action: one for one in db.session.scalars(select(AuditLine))}
        assert lines["arrive"].staff_id is not None and lines["arrive"].at == MONDAY
        assert lines["arrive"].origin == lines["read_contact"].origin == "203.0.113.5"
        assert lines["book"].origin is None  # of citizens no address is kept


@pytest.mark.parametrize("change", ["UPDATE audit_line SET action = 'nothing'", "DELETE FROM audit_line"])
@pytest.mark.usefixtures("people")
def test_nobody_can_edit_a_line(app: Flask, town: Town, change: str) -> None:
    signed_in(app, "alice")
    with app.app_context():
        begin_write()
        with pytest.raises(IntegrityError, match="cannot be changed"):
            db.session.execute(text(change))
        db.session.rollback()
        assert db.session.scalars(select(AuditLine.action)).all() == ["sign_in"]


def test_a_note_is_erased_with_the_person(app: Flask, desk: Town) -> None:
    id = appointment(app, desk)
    with app.app_context():
        take_step("arrive", subject(id, desk), press())
        write_note(subject(id, desk), "Speaks softly", press())
        walk_in = take_ticket(db.session.get_one(Desk, desk.desk_id), None, 1, press(at=NINE))
        write_note(walk_in, "Wears a red coat", press())
        db.session.commit()

        forget_due(TEN + timedelta(days=7))
        assert set(db.session.scalars(select(Visit.note))) == {"Speaks softly", "Wears a red coat"}
        forget_due(TEN + timedelta(days=8))

        assert set(db.session.scalars(select(Visit.note))) == {None}
        assert {one.state for one in db.session.scalars(select(Visit))} == {"arrived"}
        said = " ".join(str(one.details) for one in db.session.scalars(select(AuditLine)))
        assert "softly" not in said and "coat" not in said
