"""A database that says nothing: who waits for its first word is let go after a second, and learns that it is away.

One that is gone refuses at once. One that hangs, or a network that swallows what is sent, is silent, and the driver
would wait as long as the system keeps the connection: one thread of the web server after the other. So the first
question on each connection is watched, and the socket of one that gets no answer is shut. After that one request at a
time tries again; the others are told at once.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg.pq import ExecStatus
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

LIMIT = 1.0  # seconds without a word
LOOK = 0.2  # seconds between two looks at who waits
CONNECTING = 2  # seconds for a new connection; the driver takes no fewer
PAUSE = 1.0  # seconds from one that was told nothing to the next that tries


class Silence(OperationalError):
    """The database says nothing, or said nothing a moment ago."""

    def __init__(self) -> None:
        super().__init__("the first question", None, TimeoutError(f"no word within {LIMIT} seconds"))


@dataclass
class _Waiting:
    """The sockets of this process on which somebody waits for a first word."""

    lock: Lock = field(default_factory=Lock)
    since: dict[int, float] = field(default_factory=dict)  # by the number of the socket
    shut: set[int] = field(default_factory=set)
    process: int = 0  # in which the thread looks


_waiting = _Waiting()
_silent_until: WeakKeyDictionary[Engine, float] = WeakKeyDictionary()


def listen(engine: Engine, greeting: str) -> None:
    """Watches the question with which this engine tries each connection, and how long a new one takes.

    The greeting is the statement that each new one begins with.
    """
    ask: Callable[[Any], bool] = engine.dialect.do_ping

    def ping(connection: Any) -> bool:
        _check(engine)
        with _watched(engine, connection.fileno()):
            return _begun(connection) if _begins.get() else ask(connection)

    engine.dialect.do_ping = ping  # type: ignore[method-assign, assignment]

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _record: object, arguments: Any, words: Any) -> Any:
        _check(engine)
        try:
            made = dialect.connect(*arguments, **{"connect_timeout": CONNECTING, **words})
        except dialect.loaded_dbapi.errors.ConnectionTimeout as error:
            _silent_until[engine] = time.monotonic() + PAUSE
            raise Silence from error
        except Exception:
            _silent_until.pop(engine, None)  # a refusal is a word, too
            raise
        _silent_until.pop(engine, None)
        try:
            with _watched(engine, made.fileno()):
                made.execute(greeting)
                made.commit()
        except Exception:
            made.close()
            raise
        return made


@contextmanager
def by_beginning() -> Iterator[None]:
    """The connection that is fetched inside is tried by beginning a transaction on it: one question less."""
    before = _begins.set(True)
    try:
        yield
    finally:
        _begins.reset(before)


_begins: ContextVar[bool] = ContextVar("begins", default=False)


def _begun(connection: Any) -> bool:
    """The driver would begin together with the first statement, which may have to wait for others."""
    if connection.pgconn.exec_(b"BEGIN").status != ExecStatus.COMMAND_OK:
        raise psycopg.OperationalError(connection.pgconn.get_error_message())
    return True


@contextmanager
def first_word(connection: Connection) -> Iterator[None]:
    """What is asked inside must be answered within a second; raises Silence. For short reads without a transaction."""
    its: Any = connection.connection.dbapi_connection
    with _watched(connection.engine, its.fileno()):
        yield


def _check(engine: Engine) -> None:
    """Raises Silence while somebody else tries, or has just tried in vain."""
    until = _silent_until.get(engine)
    if until is None:
        return
    if time.monotonic() < until:
        raise Silence
    _silent_until[engine] = time.monotonic() + CONNECTING + PAUSE


@contextmanager
def _watched(engine: Engine, number: int) -> Iterator[None]:
    with _waiting.lock:
        _waiting.since[number] = time.monotonic()
        if _waiting.process != os.getpid():  # threads do not follow into the processes of a web server
            _waiting.process = os.getpid()
            Thread(target=_look, name="silence", daemon=True).start()
    try:
        yield
    except Exception as error:
        if number in _waiting.shut:
            _silent_until[engine] = time.monotonic() + PAUSE
            raise Silence from error
        _silent_until.pop(engine, None)  # an error is a word, too
        raise
    finally:
        with _waiting.lock:
            del _waiting.since[number]
            _waiting.shut.discard(number)
    _silent_until.pop(engine, None)


def _look() -> None:
    while True:
        time.sleep(LOOK)
        with _waiting.lock:
            late = time.monotonic() - LIMIT
            for number in [number for number, since in _waiting.since.items() if since < late]:
                if number not in _waiting.shut:
                    _waiting.shut.add(number)
                    with socket.socket(fileno=os.dup(number)) as silent:
                        silent.shutdown(socket.SHUT_RDWR)
