"""Real web servers and workers on loopback, each in a process group of its own, and browsers that talk to them.

A server has one process, so that a request can be sent to this process and the next one to another.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import math
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Barrier, Event
from typing import TYPE_CHECKING, TypeVar

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from flask import Flask
from werkzeug.datastructures import EnvironHeaders
from werkzeug.test import Client

from booking import create_app
from booking.config import ROOT, Settings
from booking.db import db
from booking.launch import Program, _commands, stop, wait_for_answer
from tests.pages import Visitor
from tests.postgresql import Cluster
from tests.test_launch import free_port, surroundings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

T = TypeVar("T")
KEY = b"the key of the processes that the tests start"
PATIENCE = 60.0  # seconds, on a busy machine


class Gone(Exception):
    """The server is away, or went away before its answer had come."""


@dataclass(frozen=True)
class Server:
    """A web server of one process. `Visitor(server)` is a browser that reaches it over HTTP."""

    program: Program
    port: int

    def test_client(self) -> Client:
        return Client(self)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Passes a request on, as the proxy would that says who asks. Raises Gone."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        headers = {**EnvironHeaders(environ), "X-Forwarded-For": environ["REMOTE_ADDR"]}
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            try:
                connection.request(environ["REQUEST_METHOD"], environ["REQUEST_URI"], body, headers)
                answer = connection.getresponse()
                content = answer.read()
            except TimeoutError:
                raise  # it is there and says nothing, which no test expects
            except (OSError, HTTPException) as error:
                raise Gone from error
        start_response(f"{answer.status} {answer.reason}", answer.getheaders())
        return [content]


@dataclass
class Machine:
    """Starts programs that share a database and a folder; the settings are names and values of the environment."""

    database: str
    folder: Path
    programs: list[Program] = field(default_factory=list)

    def webs(self, count: int) -> list[Server]:
        """So many web servers, which answer."""
        made = [self._web(free_port()) for _ in range(count)]
        for server in made:
            wait_for_answer(server.port, [server.program], Event())
        return made

    def worker(self, **settings: str) -> Program:
        return self._start("The worker", _commands(0)["The worker"], settings)

    @property
    def said(self) -> str:
        """What the programs wrote into their logs: warnings and errors only."""
        return "".join(log.read_text() for log in sorted(self.folder.glob("*.log")))

    @property
    def errors(self) -> list[str]:
        return [line for line in self.said.splitlines() if re.search(r"\b(ERROR|CRITICAL|Traceback|Exception)\b", line)]

    def _web(self, port: int) -> Server:
        command = _commands(port)["The web server"]
        command[command.index("--workers") + 1] = "1"
        return Server(self._start("The web server", command, {"BALIE_PROXIES": "1"}), port)

    def _start(self, name: str, command: list[str], settings: dict[str, str]) -> Program:
        shared = {"BALIE_DATABASE": self.database, "BALIE_KEYS": KEY.decode()}
        environment = surroundings(self.folder, **shared, **settings)
        with (self.folder / f"{len(self.programs)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.programs.append(Program(name, process))
        return self.programs[-1]


@contextmanager
def machine(database: str, folder: Path) -> Iterator[Machine]:
    """A machine on which nothing runs yet; at the end all its programs are stopped, whatever happened."""
    made = Machine(database, folder)
    try:
        yield made
    finally:
        stop(made.programs)


@dataclass
class PostOffice:
    """A mail server that takes every letter, but says nothing more from its n-th letter on if `silent_at` is n."""

    letters: list[EmailMessage]
    silent_at: float = math.inf
    taken: int = 0
    is_silent: Event = field(default_factory=Event)
    port: int = field(default_factory=free_port)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        parsed = email.message_from_bytes(envelope.original_content or b"", policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        self.letters.append(parsed)
        self.taken += 1
        if self.taken >= self.silent_at:
            self.is_silent.set()
            await asyncio.Future()
        return "250 taken"

    @property
    def settings(self) -> dict[str, str]:
        return {"BALIE_SMTP": f"smtp://127.0.0.1:{self.port}", "BALIE_SENDER": "balie@example.org"}

    @contextmanager
    def open(self) -> Iterator[PostOffice]:
        controller = Controller(self, hostname="127.0.0.1", port=self.port)
        controller.start()
        try:
            yield self
        finally:
            controller.stop()


@contextmanager
def clone(cluster: Cluster) -> Iterator[str]:
    """The address of an empty, migrated database on PostgreSQL."""
    name = f"balie_{uuid.uuid4().hex}"
    cluster.create(name, template="template_balie")
    try:
        yield cluster.url(name)
    finally:
        cluster.drop(name)


@contextmanager
def looking(database: str, folder: Path) -> Iterator[Flask]:
    """The application in our own process, with the keys of the others: to arrange, and to see what the tables hold."""
    app = create_app(Settings(database, (KEY,), folder / "instance"))
    try:
        yield app
    finally:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


def kill(program: Program) -> None:
    """Ends the program and its children at once, without a chance to tidy up."""
    program.signal(signal.SIGKILL)
    program.process.wait(PATIENCE)


def tab(visitor: Visitor, server: Server) -> Visitor:
    """Another tab of the same browser, whose requests reach `server`: the two share their cookies."""
    other = Visitor(server, visitor.address)
    other.client._cookies = visitor.client._cookies
    return other


def wait_until(condition: Callable[[], bool], what: Callable[[], object]) -> None:
    """Returns once the condition holds; fails with what is the case instead when that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


def together(calls: Iterable[Callable[[], T]]) -> list[T]:
    """Makes the calls at the same moment, each in a thread of its own; what each gave, or the first error."""
    waiting = list(calls)
    start = Barrier(len(waiting))

    def one(call: Callable[[], T]) -> T:
        start.wait(PATIENCE)
        return call()

    with ThreadPoolExecutor(len(waiting)) as threads:
        return list(threads.map(one, waiting))
