"""Providers on loopback: a mail server that refuses on demand, and a Twilio that keeps what it is given.

Twilio's own OpenAPI file, served by Prism, checks the form of our questions (test_twilio.py); it keeps no record and
never breaks, so this one does.
"""

from __future__ import annotations

import email
import email.policy
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from threading import Event
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from booking.config import SmtpServer, TwilioAccount
from tests.servers import Answering, serving

SID, TOKEN, NUMBER = "AC" + "a" * 32, "the token of the tests", "+3215000000"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class MailStub:
    """A mail server that takes letters, or answers with `refusals` first (to DATA) or `unknown` recipients."""

    letters: list[EmailMessage] = field(default_factory=list)
    senders: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)
    connections: int = 0
    before_answer: Callable[[], None] = lambda: None
    on_letter: Callable[[], None] = lambda: None
    port: int = field(default_factory=free_port)

    async def handle_EHLO(  # noqa: N802
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, answers: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.connections += 1
        return answers

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.unknown:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.before_answer()
        answer = self.refusals.pop(0) if self.refusals else "250 taken"
        if answer.startswith(("250", "drop")):
            parsed = email.message_from_bytes(envelope.original_content or b"", policy=email.policy.default)
            assert isinstance(parsed, EmailMessage)
            self.letters.append(parsed)
            self.senders.append(str(envelope.mail_from))
            self.on_letter()
        if answer.startswith("drop"):
            server.transport.abort()  # it has the letter, and nobody hears of it
        return answer

    @property
    def settings(self) -> SmtpServer:
        return SmtpServer("127.0.0.1", self.port, "none", None, None)

    @contextmanager
    def open(self) -> Iterator[MailStub]:
        controller = Controller(self, hostname="127.0.0.1", port=self.port)
        controller.start()
        try:
            yield self
        finally:
            controller.stop()


@dataclass
class TextStub:
    """A Twilio that keeps what it is given. `answers` says what becomes of the next ones that are handed over:

    a status ("429", "500": not kept), "500 kept", "slow" (kept, and no answer comes), or an error code ("21610").
    """

    messages: list[dict[str, Any]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    requests: int = 0
    shows_texts: bool = True
    is_over: Event = field(default_factory=Event)
    port: int = 0

    @property
    def texts(self) -> list[str]:
        return [one["body"] for one in self.messages]

    @property
    def account(self) -> TwilioAccount:
        return TwilioAccount(SID, TOKEN, NUMBER, f"http://127.0.0.1:{self.port}")

    def take(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        self.requests += 1
        answer = self.answers.pop(0) if self.answers else "201"
        if answer.isdigit() and len(answer) == 5:
            return 400, {"code": int(answer), "message": "no", "status": 400}
        if answer in ("429", "500"):
            return int(answer), {"code": 20429 if answer == "429" else 20500, "message": "no", "status": int(answer)}
        number = len(self.messages) + 1
        one = {"sid": f"SM{number:032}", "to": form["To"], "from": form["From"], "body": form["Body"]}
        one |= {"status": "queued", "error_code": None, "date_sent": None, "callback": form.get("StatusCallback")}
        self.messages.append(one)
        if answer == "slow":
            self.is_over.wait(30)
        return (500, {"code": 20500, "message": "no", "status": 500}) if answer == "500 kept" else (201, one)

    def listed(self, to: str) -> dict[str, Any]:
        found = [one if self.shows_texts else {**one, "body": ""} for one in self.messages if one["to"] == to]
        return {"messages": found, "page": 0, "next_page_uri": None, "uri": "/", "start": 0, "end": len(found)}

    @contextmanager
    def open(self) -> Iterator[TextStub]:
        stub = self

        class Texting(Answering):
            def post(self, body: bytes) -> None:
                form = {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}
                self.say(*stub.take(form))

            def get(self) -> None:
                self.say(200, stub.listed(parse_qs(urlsplit(self.path).query)["To"][0]))

        with serving(Texting, self.port) as server:
            self.port = server.server_port
            try:
                yield self
            finally:
                self.is_over.set()
