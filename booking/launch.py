"""`make run`: prepares the database, starts the web server and the worker, and stops both together."""

from __future__ import annotations

import argparse
import errno
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event
from types import FrameType

from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError

from booking import create_app
from booking.config import ROOT, SettingError, Settings, settings_from_environment
from booking.db import db
from booking.demo.town import SLUG, SignIn, build_demo, demo_exists, demo_sign_ins
from booking.townhall.models import Municipality

DATABASES = ("sqlite", "postgresql", "postgresql+psycopg")
PATIENCE = 60.0  # seconds that the web server has for its first answer
GRACE = 8.0  # seconds that a program has to end by itself


class CannotRun(Exception):
    """Balie cannot start or go on; the text says why and what to do."""


class StopAsked(BaseException):
    """Somebody asked us to stop while nothing runs yet."""


@dataclass(frozen=True)
class Program:
    """A running part of Balie, in a process group of its own so that Ctrl-C reaches us alone."""

    name: str
    process: subprocess.Popen[bytes]

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until it is asked to stop. The exit code: 0, or 1 when Balie could not start or one of its parts ended."""
    os.umask(0o077)  # database, keys and written messages are for their owner only
    _when_asked_to_stop(_raise_stop_asked)
    try:
        _run(chosen_port(arguments))
    except StopAsked:
        pass
    except (CannotRun, SettingError) as error:
        print(error, file=sys.stderr)
        return 1
    say("\nBalie has stopped.")
    return 0


def say(text: str) -> None:
    print(text, flush=True)


def _when_asked_to_stop(act: Callable[[int, FrameType | None], None]) -> None:
    """Sets what Ctrl-C, a closed terminal, and an end asked for by whoever started us do."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, act)


def _raise_stop_asked(_number: int, _frame: FrameType | None) -> None:
    raise StopAsked


def chosen_port(arguments: Sequence[str] | None) -> int:
    """The port of the command line; raises CannotRun for what is none."""
    parser = argparse.ArgumentParser(prog="python -m booking.launch", description="Start Balie on this machine.")
    parser.add_argument("--port", default="8000", help="the port of the web server")
    given: str = parser.parse_args(arguments).port
    if not (given.isascii() and given.isdigit() and 0 < int(given) < 65536):
        raise CannotRun(f"The port is {given!r}; it must be a number from 1 to 65535, as in: make run PORT=8001")
    return int(given)


def _run(port: int) -> None:
    check_free(port)
    os.environ.setdefault("BALIE_URL", f"http://localhost:{port}")
    settings = settings_from_environment()
    check_database(settings.database)
    sign_ins = prepare(create_app(settings))
    asked = Event()
    _when_asked_to_stop(lambda _number, _frame: asked.set())  # an exception could leave a child that nobody knows of
    with running(port) as programs:
        wait_for_answer(port, programs, asked)
        if not asked.is_set():
            say(welcome(settings.url, sign_ins))
        while not asked.wait(0.3):
            check_alive(programs)


def check_database(address: str) -> None:
    """Raises CannotRun for an address that is of no database that Balie works on."""
    with suppress(ArgumentError):
        if make_url(address).drivername in DATABASES:
            return
    raise CannotRun("BALIE_DATABASE must be like postgresql+psycopg://name:password@host/database, or left out.")


def check_free(port: int) -> None:
    """Raises CannotRun when another program listens there, on either of the addresses that localhost has."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        except OSError as error:
            _refuse(port, error)


def _refuse(port: int, error: OSError) -> None:
    """Says what is wrong with the port; an address that this machine does not have is no reason."""
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else 8000
        words = f"Port {port} is taken by another program. Choose another one: make run PORT={other}"
        raise CannotRun(words) from error
    if error.errno == errno.EACCES:
        raise CannotRun(f"Port {port} is kept for the system. Choose one above 1023: make run PORT=8000") from error


def prepare(app: Flask) -> list[SignIn]:
    """Brings the database up to date and fills an empty one with the demo town hall. Commits.

    What comes back are the sign-ins of the demo, none if it is not there. Raises CannotRun.
    """
    settings: Settings = app.extensions["balie"]["settings"]
    with app.app_context():
        try:
            _bring_up_to_date(settings.database)
            if _is_empty():
                say("Balie: filling the empty database with a demo town hall …")
                now = app.extensions["balie"]["clock"]()
                build_demo(now, settings.keys, lambda line: say(f"  {line}"))
            return demo_sign_ins(settings.keys) if demo_exists() else []
        finally:
            db.session.remove()
            db.engine.dispose()


def _bring_up_to_date(database: str) -> None:
    try:
        upgrade()
    except DBAPIError as error:
        address = make_url(database).render_as_string(hide_password=True)
        raise CannotRun(f"The database {address} cannot be used: {error.orig}\nCheck BALIE_DATABASE.") from error
    except SystemExit as error:  # so Flask-Migrate ends, after it has logged why
        raise CannotRun("The database cannot be brought up to date; the line above says why.") from error


def _is_empty() -> bool:
    found = db.session.scalar(select(Municipality.id).limit(1))
    db.session.rollback()  # who fills it begins a transaction of its own
    return found is None


@contextmanager
def running(port: int) -> Iterator[list[Program]]:
    """The web server and the worker as children of ours; at the end both are stopped, whatever happened."""
    programs: list[Program] = []
    try:
        for name, command in _commands(port).items():
            process = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, start_new_session=True)
            programs.append(Program(name, process))
        yield programs
    finally:
        stop(programs)


def _commands(port: int) -> dict[str, list[str]]:
    web = f"gunicorn -k gthread --workers 2 --threads 4 --no-control-socket --bind 127.0.0.1:{port}"
    quiet = "--log-level warning --graceful-timeout 3 wsgi:app"
    return {"The web server": [*web.split(), *quiet.split()], "The worker": ["booking.worker"]}


def stop(programs: Sequence[Program]) -> None:
    """Asks all programs to end, and ends those that have not within the grace."""
    for program in programs:
        program.signal(signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    for program in programs:
        with suppress(subprocess.TimeoutExpired):
            program.process.wait(max(0.0, deadline - time.monotonic()))
        program.signal(signal.SIGKILL)  # also what a dead parent left in its group
        program.process.wait()


def wait_for_answer(port: int, programs: Sequence[Program], asked: Event) -> None:
    """Returns once the web server answers anything, or `asked` is set.

    Raises CannotRun when it stays silent, or when a program ends before.
    """
    deadline = time.monotonic() + PATIENCE
    while not (_answers(port) or asked.wait(0.1)):
        check_alive(programs)
        if time.monotonic() > deadline:
            raise CannotRun(f"The web server gave no answer within {PATIENCE:.0f} seconds.")


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status > 0
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def check_alive(programs: Sequence[Program]) -> None:
    """Raises CannotRun that names the first program that has ended."""
    for program in programs:
        code = program.process.poll()
        if code is not None:
            how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
            raise CannotRun(f"{program.name} has ended by itself ({how}), so Balie stops. Lines above may say why.")


def welcome(url: str, sign_ins: Sequence[SignIn]) -> str:
    """What stands in the terminal once Balie runs: where it is, who may sign in, how to stop it."""
    lines = ["", f"Balie runs at {url}", ""]
    if sign_ins:
        rows = [("E-mail", "Password", "Who"), *((one.email, one.password, one.words) for one in sign_ins)]
        first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
        lines += [f"The staff of the demo town hall sign in at {url}/{SLUG}/staff/sign-in", ""]
        lines += [f"  {email:{first}}  {password:{second}}  {words}" for email, password, words in rows]
        lines.append("")
    return "\n".join([*lines, "Stop with Ctrl-C."])


if __name__ == "__main__":
    sys.exit(main())
