"""The figure of messages: due e-mails with their calendar parts leave one worker, as shipped, to a mail server."""

from __future__ import annotations

import smtplib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import bindparam, create_engine, func, insert, literal, null, select

from bench import bare
from bench.databases import KEY, Databases
from bench.load import Broken
from bench.measure import Run
from bench.servers import LOG, _free_port, _without_settings
from booking import _engine_options, launch
from booking.appointments.models import Appointment, AppointmentState, Booking
from booking.config import ROOT
from booking.db import WRITES, configure_engine
from booking.outbox.models import Heartbeat, Kind, Message, MessageChannel, MessageState

MANY, FEW = 10_000, 1_000  # letters in all rounds together; the second in a quick run
PATIENCE = 600.0  # seconds
NEWS = timedelta(days=2)


def mails(run: Run) -> None:
    """Letters that fall due at once, against as many bare UPDATEs with a COMMIT each on the same server."""
    count = (FEW if run.is_quick else MANY) // run.rounds
    rounds = iter(range(run.rounds))
    with _sink() as port, _worker(run.databases, port):

        def one() -> float:
            before = _taken(port)
            _make_due(run.databases, count, f"round-{next(rounds)}")
            seconds = _seconds_of_sending(run.databases, count)
            if _taken(port) - before != count:
                raise Broken(f"{count} letters were due, the mail server took {_taken(port) - before}.")
            return seconds / _bare_seconds(run.databases, count)

        found = run.each_round("letters leave one worker", one)
    note = f"{count * run.rounds:,} letters".replace(",", " ")
    run.add("due e-mails with calendar parts through one worker / bare UPDATE + COMMIT", found, 40, note=note)


@contextmanager
def _sink() -> Iterator[int]:
    port = _free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.sink", str(port)], cwd=ROOT)
    try:
        _until(lambda: _answers(port), "the mail server")
        yield port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _worker(databases: Databases, port: int) -> Iterator[None]:
    """The worker as shipped; it has run each of its steps once, so that only letters keep it busy."""
    environment = {
        "BALIE_DATABASE": databases.url("mails"),
        "BALIE_INSTANCE": str(databases.instance),
        "BALIE_KEYS": KEY.decode(),
        "BALIE_SMTP": f"smtp://127.0.0.1:{port}",
        "BALIE_SENDER": "balie@example.org",
    }
    databases.instance.mkdir(exist_ok=True)
    with (databases.folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "booking.worker"],
            cwd=ROOT,
            env={**_without_settings(), **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _until(lambda: _beats(databases) >= {"e-mail", "recount", "tidying", "erasure"}, "the worker")
        yield
    finally:
        launch.stop([launch.Program("The worker", process)])


def _make_due(databases: Databases, count: int, occasion: str) -> None:
    """Confirmations of appointments to come, all due now."""
    now = datetime.now(UTC)
    values = {
        "municipality_id": literal(databases.towns["mails"].municipality_id),
        "subject_kind": literal("appointment"),
        "subject_id": Appointment.id,
        "sequence": Appointment.sequence,
        "kind": literal(Kind.CONFIRMATION.value),
        "occasion": literal(occasion),
        "channel": literal(MessageChannel.EMAIL.value),
        "state": literal(MessageState.QUEUED.value),
        "made_at": literal(now, Message.made_at.type),
        "due_at": literal(now, Message.due_at.type),
        "expires_at": literal(now + NEWS, Message.expires_at.type),
        "attempts": literal(0),
        "content": null(),
    }
    chosen = select(*values.values()).join(Booking, Booking.id == Appointment.booking_id)
    chosen = chosen.where(Appointment.starts_at > now + NEWS, Appointment.state == AppointmentState.BOOKED)
    chosen = chosen.where(Booking.email.is_not(None)).order_by(Appointment.id).limit(count)
    with databases.connection("mails") as connection:
        made = len(connection.scalars(insert(Message).from_select(list(values), chosen).returning(Message.id)).all())
    if made != count:
        raise Broken(f"There are {made} appointments to write about, {count} are needed.")


def _seconds_of_sending(databases: Databases, count: int) -> float:
    """How long the worker took from the first letter to the last, by what it wrote down."""
    _until(lambda: _waiting(databases) == 0, "the letters")
    query = select(func.count(), func.min(Message.ended_at), func.max(Message.ended_at)).order_by(None)
    with databases.connection("mails") as connection:
        newest = select(func.max(Message.occasion)).scalar_subquery()
        sent, first, last = connection.execute(
            query.where(Message.occasion == newest, Message.state == MessageState.SENT)
        ).one()
    if sent != count:
        raise Broken(f"{count} letters were due, {sent} were sent.")
    seconds: float = (last - first).total_seconds() * count / (count - 1)
    return seconds


def _bare_seconds(databases: Databases, count: int) -> float:
    """How long so many UPDATEs with a COMMIT each take on one connection."""
    url = databases.url(bare.NAME)
    engine = create_engine(url, **_engine_options(url))
    configure_engine(engine)
    change = bare.thing.update().where(bare.thing.c.id == bindparam("one")).values(name="A changed thing")
    with engine.connect().execution_options(**{WRITES: True}) as connection:
        began = time.perf_counter()
        for n in range(count):
            connection.execute(change, {"one": n % bare.ROWS + 1})
            connection.commit()
        seconds = time.perf_counter() - began
    engine.dispose()
    return seconds


def _waiting(databases: Databases) -> int:
    waits = Message.state.in_((MessageState.QUEUED, MessageState.SENDING))
    due = (Message.occasion.like("round-%"), waits)
    with databases.connection("mails") as connection:
        return connection.scalar(select(func.count(Message.id)).where(*due)) or 0


def _beats(databases: Databases) -> set[str]:
    with databases.connection("mails") as connection:
        return set(connection.scalars(select(Heartbeat.step)))


def _taken(port: int) -> int:
    with smtplib.SMTP("127.0.0.1", port) as connection:
        return int(connection.docmd("HELP")[1])


def _answers(port: int) -> bool:
    try:
        return _taken(port) == 0
    except OSError:
        return False


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise Broken(f"Waiting for {what} took too long.")
        time.sleep(0.5)
