"""The way to a mail server: TLS and signing in with smtpdfix, refusals, silence and lost connections with aiosmtpd."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from smtpdfix import SMTPDFix
from smtpdfix.certs import _generate_certs
from smtpdfix.configuration import Config

from booking.config import SmtpServer
from booking.delivery import email
from booking.delivery.email import Envelope, MailServer, bounce_address, in_ascii, letter
from booking.delivery.errors import Away, BrokeOff, Later, Refused, SendError
from booking.delivery.wording import Wording
from tests.conftest import MONDAY
from tests.providers import MailStub, free_port

pytestmark = pytest.mark.messages

LETTER = b"From: balie@example.org\r\nTo: ann@example.org\r\nSubject: Your appointment\r\n\r\nOn Monday.\r\n"
NAME, PASSWORD = "balie", "a password: with signs @/%"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made, _ = _generate_certs(tmp_path_factory.mktemp("certificate"))
    return Path(made)


@contextmanager
def secure(certificate: Path, **wishes: Any) -> Iterator[Any]:
    """A mail server with TLS that wants a name and a password."""
    config = Config()
    config.ssl_cert_files = (str(certificate), None)
    config.login_username, config.login_password = NAME, PASSWORD
    config.enforce_auth = config.auth_require_tls = not wishes.get("use_ssl")  # which is encrypted from the start
    for wish, value in wishes.items():
        setattr(config, wish, value)
    with SMTPDFix("localhost", free_port(), config) as running:
        yield running


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine trusts the server's certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


@pytest.mark.usefixtures("trusted")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # aiosmtpd leaves its own socket open
@pytest.mark.parametrize(("encryption", "wish"), [("starttls", "use_starttls"), ("tls", "use_ssl")])
def test_letters_go_over_tls_after_signing_in(certificate: Path, encryption: str, wish: str) -> None:
    with secure(certificate, **{wish: True}) as running:
        server = MailServer(SmtpServer("localhost", running.port, encryption, NAME, PASSWORD))
        for _ in range(2):
            server.send("balie+7@example.org", "ann@example.org", LETTER)
        server.close()

        assert [one["Subject"] for one in running.messages] == ["Your appointment"] * 2


@pytest.mark.usefixtures("trusted")
def test_a_wrong_password_is_our_fault_and_says_so(certificate: Path) -> None:
    with secure(certificate, use_starttls=True) as running:
        server = MailServer(SmtpServer("localhost", running.port, "starttls", NAME, "wrong"))

        with pytest.raises(Away, match="535"):
            server.send("balie@example.org", "ann@example.org", LETTER)
        assert running.messages == []


def test_a_server_that_cannot_prove_who_it_is_gets_neither_password_nor_letter(certificate: Path) -> None:
    with secure(certificate, use_starttls=True) as running:
        server = MailServer(SmtpServer("localhost", running.port, "starttls", NAME, PASSWORD))

        with pytest.raises(Away, match="SSLCertVerificationError"):
            server.send("balie@example.org", "ann@example.org", LETTER)
        assert running.messages == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("451 greylisted", Later),
        ("452 full", Later),
        ("550 no such mailbox", Refused),
        ("554 spam", Refused),
        ("421 closing", Away),
        ("drop", BrokeOff),
    ],
)
def test_each_answer_means_what_is_to_be_done(answer: str, error: type[SendError]) -> None:
    with MailStub(refusals=[answer]).open() as stub:
        server = MailServer(stub.settings)
        with pytest.raises(error):
            server.send("balie@example.org", "ann@example.org", LETTER)
        server.send("balie@example.org", "ann@example.org", LETTER)  # the next letter goes
        server.close()

    assert len(stub.letters) == (2 if answer == "drop" else 1)


def test_an_unknown_recipient_is_refused_before_the_letter_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with MailStub(unknown={"ann@example.org"}).open() as stub:
        server = MailServer(stub.settings)

        with pytest.raises(Refused, match="550 no such mailbox"):
            server.send("balie@example.org", "ann@example.org", LETTER)
        server.close()

    assert stub.letters == []


def test_a_server_that_says_nothing_is_away_after_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = MailServer(SmtpServer("127.0.0.1", silent.getsockname()[1], "none", None, None))

        with pytest.raises(Away, match="mail server"):
            server.send("balie@example.org", "ann@example.org", LETTER)


def test_a_server_that_falls_silent_over_a_letter_may_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email, "TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        Thread(target=_silent_after_data, args=(listening,), daemon=True).start()
        server = MailServer(SmtpServer("127.0.0.1", listening.getsockname()[1], "none", None, None))

        with pytest.raises(BrokeOff):
            server.send("balie@example.org", "ann@example.org", LETTER)


def _silent_after_data(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection, connection.makefile("rwb", buffering=0) as talk:
        talk.write(b"220 here\r\n")
        for line in talk:
            if line.startswith(b"DATA"):
                talk.write(b"354 go on\r\n")
                while talk.readline() not in (b".\r\n", b""):
                    pass
                talk.readline()  # and says nothing
                return
            talk.write(b"250 ok\r\n")


def test_a_kept_connection_that_was_closed_meanwhile_costs_no_letter() -> None:
    with MailStub().open() as stub:
        server = MailServer(stub.settings)
        server.send("balie@example.org", "ann@example.org", LETTER)
        assert server._connection is not None
        server._connection.sock.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
        server.send("balie@example.org", "ann@example.org", LETTER)
        server.close()

    assert (len(stub.letters), stub.connections) == (2, 2)


# ---- addresses and headers that mean harm, or are merely rare


@pytest.mark.parametrize(
    ("written", "ascii"),
    [
        ("ann+balie@example.org", "ann+balie@example.org"),
        ("o'hara@example.org", "o'hara@example.org"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example"),
        ("ann@Straße.example", "ann@xn--strae-oqa.example"),
    ],
)
def test_every_address_arrives_as_mail_servers_know_it(written: str, ascii: str) -> None:
    envelope = Envelope(Address("Balie", addr_spec="balie@example.org"), written, written, "balie-1")
    content = letter(Wording("Subject", "text", "<p>text</p>", ""), envelope, MONDAY)
    with MailStub().open() as stub:
        server = MailServer(stub.settings)
        server.send(bounce_address("balie@example.org", 1), written, content)
        server.close()

    assert in_ascii(written) == ascii
    assert (stub.letters[0]["To"], stub.letters[0]["Reply-To"]) == (ascii, ascii)
    assert stub.senders == ["balie+1@example.org"]


HOSTILE = [
    "Eve\r\nBcc: all@example.org",
    "Eve\nBcc: all@example.org\n\nBuy now",
    "Eve\x00\x0b\x0c\x1b",
    'A "quoted", <name>; of = many :signs',
    "Zoë 👩‍👩‍👧‍👦 🎉",
    "\u202eesrever\u202c \u200f\u2066right to left",
    "=?utf-8?q?Bcc:_all@example.org?=",
    "x" * 10_000,
    "é" * 3_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_can_add_a_header_or_break_the_letter(text: str) -> None:
    town = Address(" ".join(text.split()), addr_spec="balie@example.org")
    envelope = Envelope(town, "ann@example.org", "desk@example.org", "balie-1")

    content = letter(Wording(text, text, f"<p>{len(text)}</p>", ""), envelope, MONDAY)

    parsed = message_from_bytes(content, policy=default)
    assert isinstance(parsed, EmailMessage)
    assert set(parsed.keys()) == {
        *("From", "To", "Reply-To", "Subject", "Date", "Message-ID", "Auto-Submitted"),
        *("X-Auto-Response-Suppress", "MIME-Version", "Content-Type"),
    }
    assert parsed["To"] == "ann@example.org" and parsed["Auto-Submitted"] == "auto-generated"
    assert content.isascii()  # for servers without 8BITMIME
    assert max(len(line) for line in content.split(b"\r\n")) <= 998  # RFC 5322 2.1.1
    assert b"\n" not in content.replace(b"\r\n", b"") and b"\r" not in content.replace(b"\r\n", b"")


@pytest.mark.parametrize(
    "address", ["ann@example.org\r\nBcc: all@example.org", "ann@example.org, all@example.org", "ann"]
)
def test_what_is_no_address_gets_no_letter(address: str) -> None:
    envelope = Envelope(Address("Balie", addr_spec="balie@example.org"), address, "desk@example.org", "balie-1")

    with pytest.raises(Exception):  # noqa: B017  (of the standard library, and of several kinds)
        letter(Wording("Subject", "text", "<p>text</p>", ""), envelope, MONDAY)
