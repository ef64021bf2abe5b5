"""The recount: a sound town has nothing to find; each kind of damage is found, and nothing else with it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import event, select

from booking.appointments import findings
from booking.appointments import recount as counting
from booking.appointments.booking import Citizen, book, cancel, move
from booking.appointments.findings import KEEP_RUNS, Counted, Finding, Flaw, due, findings_of, keep, last_run
from booking.appointments.holds import hold
from booking.appointments.models import Appointment, Channel, Hold, Occupancy, RecountRun
from booking.appointments.offers import Demand
from booking.appointments.recount import Part, recount
from booking.db import begin_write, db
from booking.slots.clock import tick_of
from booking.staff.audit import citizen_of
from booking.townhall.models import Closure, Desk, Office, Service
from booking.worker import run_step
from tests.conftest import MONDAY, Clock
from tests.factories import Town, make_town

pytestmark = pytest.mark.races

TEN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)  # Tuesday, ten o'clock in Brussels
ELEVEN, TWO = TEN + timedelta(hours=1), TEN + timedelta(hours=4)
DAY, MINUTES = timedelta(days=1), timedelta(minutes=1)
TICK = tick_of(TEN)


def held(town: Town, start: datetime, now: datetime = MONDAY) -> Hold:
    office, service = db.session.get_one(Office, town.office_id), db.session.get_one(Service, town.passport_id)
    return hold(office, Demand(service), start, now)


def booked(app: Flask, town: Town, start: datetime, now: datetime = MONDAY) -> int:
    """An appointment of a quarter of an hour, committed; its id."""
    with app.app_context():
        begin_write()
        alice = Citizen("Alice Peeters", "nl", email="alice@example.org")
        made = book(held(town, start, now), alice, Channel.WEB, citizen_of(town.municipality_id), now)
        db.session.commit()
        return made.appointments[0].id


def changed(app: Flask, id: int, to: datetime | None) -> None:
    """The appointment moved, or cancelled where no time is given; committed."""
    with app.app_context():
        begin_write()
        one = db.session.get_one(Appointment, id)
        office = one.counter.desk.office
        actor = citizen_of(office.municipality_id)
        if to is None:
            cancel(one, actor, MONDAY)
        else:
            move(one, office, to, actor, MONDAY)
        db.session.commit()


def write(app: Flask, *statements: str) -> None:
    """Writes past all rules: the foreign keys do not look either."""
    with app.app_context():
        is_sqlite = db.engine.dialect.name == "sqlite"
        before = "PRAGMA foreign_keys=OFF" if is_sqlite else "SET session_replication_role = replica"
        after = "PRAGMA foreign_keys=ON" if is_sqlite else "SET session_replication_role = DEFAULT"
        raw = db.engine.raw_connection()
        cursor = raw.cursor()
        for statement in (before, *statements, after):
            cursor.execute(statement)
        raw.commit()
        raw.close()


def found(app: Flask, town: Town, now: datetime = MONDAY) -> list[Finding]:
    with app.app_context():
        return recount(town.municipality_id, now).findings


def flaws(app: Flask, town: Town, now: datetime = MONDAY) -> list[tuple[Flaw, list[int]]]:
    """What is found, each with the appointments concerned."""
    return [(finding.flaw, finding.ids.get("appointment", [])) for finding in found(app, town, now)]


@pytest.fixture
def lone(app: Flask) -> Town:
    """A town with a single counter, so that it is known where things are."""
    with app.app_context():
        made = make_town(counters=1)
        db.session.commit()
    return made


@pytest.fixture
def id(app: Flask, lone: Town) -> int:
    return booked(app, lone, TEN)


# ---- what is sound


def test_a_town_that_books_holds_moves_and_cancels_adds_up(app: Flask, town: Town) -> None:
    ids = [booked(app, town, start) for start in (TEN, TEN, ELEVEN, ELEVEN, TWO, TEN + 49 * DAY)]
    changed(app, ids[0], TWO)
    changed(app, ids[1], TEN + 15 * MINUTES)
    changed(app, ids[2], None)
    with app.app_context():
        begin_write()
        held(town, TWO + 30 * MINUTES)
        held(town, TWO + 60 * MINUTES, MONDAY - DAY)  # ended long ago and not swept yet
        db.session.commit()

    with app.app_context():
        counted = recount(town.municipality_id, MONDAY)

    assert counted == Counted(6, 5 * 3 + 3)


def test_a_freed_slot_that_comes_back_later_is_sound(app: Flask, lone: Town, id: int) -> None:
    with app.app_context():
        db.session.add(Occupancy(counter_id=lone.counter_ids[0], tick=TICK + 9, expires_at=MONDAY + MINUTES))
        db.session.commit()

        assert recount(lone.municipality_id, MONDAY) == Counted(1, 3 + 1)
        assert recount(lone.municipality_id, MONDAY + MINUTES) == Counted(1, 3)


def test_an_empty_installation_adds_up(app: Flask) -> None:
    result = app.test_cli_runner().invoke(args=["recount"])

    assert (result.exit_code, result.output) == (0, "0 appointments, 0 ticks counted: nothing found.\n")


def test_a_buffer_that_was_changed_since_is_no_damage(app: Flask, lone: Town) -> None:
    for buffer, start in ((15, TEN), (0, ELEVEN), (5, TWO)):
        with app.app_context():
            db.session.get_one(Desk, lone.desk_id).buffer_minutes = buffer
            db.session.get_one(Office, lone.office_id).revision += 1
            db.session.commit()
        booked(app, lone, start)

    assert found(app, lone) == []


def test_what_is_over_may_have_its_ticks_or_not(app: Flask, lone: Town, id: int) -> None:
    assert found(app, lone, TEN + DAY) == []
    write(app, f"DELETE FROM occupancy WHERE appointment_id = {id}")

    assert found(app, lone, TEN + DAY) == []
    assert found(app, lone, TEN + 14 * MINUTES) != []


def test_an_exception_may_lie_outside_the_hours(app: Flask, lone: Town, id: int) -> None:
    write(app, "DELETE FROM opening_hours", f"UPDATE appointment SET is_exception = '1' WHERE id = {id}")

    assert found(app, lone) == []


def test_a_message_whose_try_failed_while_the_appointment_was_moved_drops_itself(
    app: Flask, lone: Town, id: int
) -> None:
    write(app, "UPDATE message SET attempts = 1, sequence = sequence + 7 WHERE kind = 'reminder'")

    assert found(app, lone) == []


def test_a_forgotten_booking_has_no_messages_and_that_is_sound(app: Flask, lone: Town, id: int) -> None:
    write(
        app,
        "UPDATE booking SET name = NULL, reference = NULL, email = NULL, forgotten_at = made_at",
        "DELETE FROM message",
    )

    assert found(app, lone) == []


# ---- what is not

BY_HAND = {
    "a tick is gone": ("DELETE FROM occupancy WHERE tick = {tick} + 1", Flaw.MISSING_TICKS),
    "a tick behind a gap": (
        "INSERT INTO occupancy (counter_id, tick, appointment_id) VALUES ({counter}, {tick} + 5, {id})",
        Flaw.STRAY_TICKS,
    ),
    "a tick before it": (
        "INSERT INTO occupancy (counter_id, tick, appointment_id) VALUES ({counter}, {tick} - 1, {id})",
        Flaw.STRAY_TICKS,
    ),
    "cancelled, and its ticks stay": (
        "UPDATE appointment SET state = 'cancelled'; UPDATE message SET state = 'dropped'",
        Flaw.CANCELLED_TICKS,
    ),
    "cancelled, and its reminder waits": (
        "UPDATE appointment SET state = 'cancelled'; DELETE FROM occupancy;"
        " DELETE FROM message WHERE kind = 'confirmation'",
        Flaw.STALE_MESSAGE,
    ),
    "an old reminder waits": ("UPDATE message SET sequence = 7 WHERE kind = 'reminder'", Flaw.STALE_MESSAGE),
    "no confirmation": ("DELETE FROM message WHERE kind = 'confirmation'", Flaw.NO_CONFIRMATION),
    "no hours": ("DELETE FROM opening_hours", Flaw.OUTSIDE_HOURS),
    "its booking is gone": ("DELETE FROM booking", Flaw.LONE_APPOINTMENT),
}


@pytest.mark.parametrize("what", BY_HAND)
def test_each_damage_to_an_appointment_is_found(app: Flask, lone: Town, id: int, what: str) -> None:
    statements, flaw = BY_HAND[what]

    write(app, *(one.format(id=id, tick=TICK, counter=lone.counter_ids[0]) for one in statements.split(";")))

    assert flaws(app, lone) == [(flaw, [id])]


def test_a_closure_that_nobody_looked_under_is_found(app: Flask, lone: Town, id: int) -> None:
    with app.app_context():
        db.session.add(Closure(office_id=lone.office_id, starts_at=TEN + 10 * MINUTES, ends_at=TWO, reasons={}))
        db.session.commit()

    (finding,) = found(app, lone)

    assert finding == Finding(Flaw.OUTSIDE_HOURS, {"appointment": [id]}, lone.counter_ids[0], TEN)


def test_two_appointments_that_overlap_are_found_though_both_have_ticks(app: Flask, lone: Town, id: int) -> None:
    other = booked(app, lone, ELEVEN)
    with app.app_context():
        moved = db.session.get_one(Appointment, other)
        moved.starts_at, moved.ends_at = TEN + 10 * MINUTES, TEN + 25 * MINUTES
        for row in db.session.scalars(select(Occupancy).where(Occupancy.appointment_id == other)):
            row.tick += 3 - 12  # behind the first one: the key lets nobody have a tick twice
        db.session.commit()

    assert (Flaw.OVERLAP, [id, other]) in flaws(app, lone)
    assert flaws(app, lone, TEN + DAY) == [(Flaw.OVERLAP, [id, other])]  # when it is over, what happened is left


def test_appointments_that_touch_or_are_at_two_counters_do_not_overlap(app: Flask, town: Town) -> None:
    for start in (TEN, TEN, TEN + 15 * MINUTES, TEN + 15 * MINUTES):
        booked(app, town, start)

    assert found(app, town) == []


def test_what_an_appointment_leaves_behind_is_found(app: Flask, lone: Town, id: int) -> None:
    write(app, "DELETE FROM appointment_service", "DELETE FROM appointment")

    seen = found(app, lone)

    assert sorted({finding.flaw for finding in seen}) == [Flaw.EMPTY_BOOKING, Flaw.LOST_MESSAGE, Flaw.ORPHAN_TICKS]
    assert {tuple(finding.ids.get("appointment", [id])) for finding in seen} == {(id,)}
    ticks = next(finding for finding in seen if finding.flaw == Flaw.ORPHAN_TICKS)
    assert ticks.ids["tick"] == [TICK, TICK + 1, TICK + 2]


def test_ticks_of_an_old_appointment_that_block_the_future_are_found(app: Flask, lone: Town, id: int) -> None:
    write(app, f"UPDATE occupancy SET tick = tick + {100 * 288}")

    assert flaws(app, lone, TEN + 60 * DAY) == [(Flaw.STRAY_TICKS, [id])]


def test_a_hold_may_end_at_any_time_but_not_keep_other_time(app: Flask, lone: Town) -> None:
    with app.app_context():
        begin_write()
        kept = held(lone, TEN).id
        db.session.commit()
    assert found(app, lone) == []

    write(app, f"UPDATE occupancy SET tick = tick + 1 WHERE tick = {TICK + 2}")

    (finding,) = found(app, lone)
    assert (finding.flaw, finding.ids) == (Flaw.STRAY_HOLD, {"hold": [kept], "tick": [TICK + 3]})
    assert found(app, lone, MONDAY + DAY) == []


def test_ticks_of_a_hold_that_is_gone_are_found(app: Flask, lone: Town) -> None:
    with app.app_context():
        begin_write()
        kept = held(lone, TEN).id
        db.session.commit()

    write(app, "DELETE FROM hold")

    assert [(one.flaw, one.ids["hold"]) for one in found(app, lone)] == [(Flaw.ORPHAN_TICKS, [kept])]


def test_an_appointment_at_the_counter_of_another_town_is_found_in_its_own(app: Flask, lone: Town, id: int) -> None:
    with app.app_context():
        elsewhere = make_town("elders", counters=1)
        db.session.commit()
    write(app, f"UPDATE booking SET municipality_id = {elsewhere.municipality_id}")

    assert flaws(app, elsewhere) == [(Flaw.FOREIGN_COUNTER, [id])]
    assert flaws(app, lone) == []


# ---- how it looks


def test_a_recount_writes_nothing_and_asks_as_often_for_many_as_for_few(app: Flask, lone: Town, id: int) -> None:
    def statements() -> list[str]:
        asked: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            asked.append(statement)

        with app.app_context():
            event.listen(db.engine, "before_cursor_execute", note)
            recount(lone.municipality_id, MONDAY)
            event.remove(db.engine, "before_cursor_execute", note)
        return asked

    few = statements()
    for start in (ELEVEN, TWO, TEN + DAY, TWO + 2 * DAY):
        booked(app, lone, start)

    assert len(statements()) == len(few) <= 25
    assert {statement.split()[0] for statement in few} - {"BEGIN"} == {"SELECT"}


def test_a_recount_sees_one_moment_whatever_is_booked_meanwhile(app: Flask, lone: Town, id: int) -> None:
    def booking_meanwhile(parts: Sequence[Part]) -> Iterator[Part]:
        booked(app, lone, ELEVEN)
        yield from parts

    with app.app_context():
        first = recount(lone.municipality_id, MONDAY, booking_meanwhile)
        second = recount(lone.municipality_id, MONDAY)

    assert (first, second) == (Counted(1, 3), Counted(2, 6))


def test_windows_follow_each_other_without_a_gap(
    app: Flask, lone: Town, id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for start in (ELEVEN, TEN + DAY, TEN + 2 * DAY, TEN + 3 * DAY):
        booked(app, lone, start)
    monkeypatch.setattr(counting, "WINDOW", 1)

    with app.app_context():
        assert recount(lone.municipality_id, MONDAY) == Counted(5, 15, [])


def test_the_command_names_what_it_finds_and_fails(app: Flask, lone: Town, id: int) -> None:
    with app.app_context():
        make_town("elders")
        db.session.commit()
    runner = app.test_cli_runner()
    sound = runner.invoke(args=["recount"])
    write(app, f"DELETE FROM occupancy WHERE tick = {TICK}")

    broken, elders = runner.invoke(args=["recount"]), runner.invoke(args=["recount", "--town", "elders"])

    assert (sound.exit_code, sound.stdout) == (0, "1 appointments, 3 ticks counted: nothing found.\n")
    assert broken.exit_code == 1
    assert broken.stdout.splitlines() == [
        f"testdorp: missing_ticks: appointment {id}; tick {TICK}; counter {lone.counter_ids[0]}. "
        "Part of an appointment's time is not kept for it: somebody else could take it.",
        "1 appointments, 2 ticks counted: 1 found.",
    ]
    assert (elders.exit_code, elders.stdout) == (0, "0 appointments, 0 ticks counted: nothing found.\n")
    assert runner.invoke(args=["recount", "--town", "nowhere"]).exit_code == 2


# ---- every night


def runs(app: Flask) -> list[tuple[datetime, int]]:
    with app.app_context():
        return [(run.at, run.found) for run in db.session.scalars(select(RecountRun).order_by(RecountRun.at))]


def test_the_worker_counts_once_a_night_after_three(app: Flask, lone: Town, id: int, clock: Clock) -> None:
    three = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)  # in Brussels
    for moment in (three - DAY, three - MINUTES, three, three + 60 * MINUTES, three + 20 * 60 * MINUTES):
        clock.now = moment
        run_step(app, "recount")

    assert [at for at, _found in runs(app)] == [three - DAY, three]


def test_a_night_that_was_counted_is_not_due_again(context: Flask, lone: Town) -> None:
    assert due(MONDAY) == [lone.municipality_id]

    keep(lone.municipality_id, Counted(), MONDAY)

    assert due(MONDAY + 60 * MINUTES) == []
    assert due(MONDAY + DAY) == [lone.municipality_id]


def test_each_town_has_its_own_night(app: Flask, lone: Town) -> None:
    with app.app_context():
        far = make_town("ver", zone="Pacific/Auckland")
        db.session.commit()

        assert due(datetime(2026, 11, 23, 13, 30, tzinfo=UTC)) == [lone.municipality_id]
        assert due(datetime(2026, 11, 23, 23, 30, tzinfo=UTC)) == [far.municipality_id]


def test_what_is_found_is_a_warning_that_names_nobody(
    app: Flask, lone: Town, id: int, caplog: pytest.LogCaptureFixture
) -> None:
    write(app, f"DELETE FROM occupancy WHERE tick = {TICK}")

    with caplog.at_level(logging.WARNING):
        run_step(app, "recount")

    assert runs(app) == [(MONDAY, 1)]
    assert f"1 found: missing_ticks: appointment {id}; tick {TICK}" in caplog.text
    assert "Alice" not in caplog.text and "example.org" not in caplog.text


def test_a_sound_night_is_silent(app: Flask, lone: Town, id: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        run_step(app, "recount")

    assert runs(app) == [(MONDAY, 0)]
    assert caplog.text == ""


def test_of_two_workers_one_keeps_the_night(context: Flask, lone: Town) -> None:
    keep(lone.municipality_id, Counted(1, 3), MONDAY)
    keep(lone.municipality_id, Counted(2, 6), MONDAY + MINUTES)

    run = last_run(lone.municipality_id)
    assert run is not None and (run.appointments, run.at) == (1, MONDAY)


def test_the_last_thirty_nights_are_kept_with_their_findings(
    context: Flask, lone: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "KEEP_FINDINGS", 2)
    seen = [Finding(Flaw.OVERLAP, {"appointment": [n, n + 1]}, 1, TEN) for n in range(3)]

    for night in range(KEEP_RUNS + 2):
        keep(lone.municipality_id, Counted(5, 15, seen), MONDAY + night * DAY)

    kept = db.session.scalars(select(RecountRun).order_by(RecountRun.at)).all()
    assert [run.at for run in kept] == [MONDAY + night * DAY for night in range(2, KEEP_RUNS + 2)]
    assert kept[-1].found == 3
    assert findings_of(kept[-1]) == seen[:2]


def test_the_migration_goes_down_and_up_and_keeps_the_appointments(app: Flask, lone: Town, id: int) -> None:
    with app.app_context():
        downgrade(revision="0002")
        upgrade()
        db.session.remove()

        kept = db.session.get_one(Appointment, id)
        assert (kept.starts_at, kept.is_exception, kept.booking.name) == (TEN, False, "Alice Peeters")
        db.session.rollback()
        assert recount(lone.municipality_id, MONDAY) == Counted(1, 3)
