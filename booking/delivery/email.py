"""E-mail: the letter as bytes, built once and kept for the retry, and its way to the mail server."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import NamedTuple

import idna

from booking.calendars.invitation import Invitation
from booking.config import SmtpServer
from booking.delivery.errors import Away, BrokeOff, Later, Refused, SendError
from booking.delivery.wording import Wording

TIMEOUT = 20  # seconds for each step of the conversation
INVITE = "invite.ics"
LONGEST = 200  # letters of a name or subject: a header's line ends before 998 octets (RFC 5322 2.1.1)
CLOSING = 421  # RFC 5321 3.8: the server closes the connection, whatever was asked
_POLICY = SMTP.clone(cte_type="7bit")  # servers without 8BITMIME take it too


@dataclass(frozen=True)
class Envelope:
    """From whom, to whom, whom to answer, and the part of the Message-ID before our domain."""

    sender: Address
    recipient: str
    reply_to: str
    message_id: str


class Enclosure(NamedTuple):
    """A file that a letter brings: its name, its type and its bytes."""

    name: str
    kind: str
    content: bytes


def letter(
    wording: Wording,
    envelope: Envelope,
    now: datetime,
    invites: Sequence[Invitation] = (),
    enclosures: Sequence[Enclosure] = (),
) -> bytes:
    """The message as bytes (RFC 5322, text and HTML). Headers refuse line breaks, so no text can add one.

    An invitation stands in it twice with the same bytes: among the alternatives, where calendars look for it (RFC 6047
    2.4), and attached, for programs that know files only. In base64, because Outlook reads quoted-printable wrongly.
    Of several the alternatives have the first, because programs read one there (RFC 5546 3.2.2: one UID a REQUEST);
    all are attached.
    """
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = Address(_short(envelope.sender.display_name), addr_spec=envelope.sender.addr_spec)
    mail["To"] = Address(addr_spec=in_ascii(envelope.recipient))
    mail["Reply-To"] = Address(addr_spec=in_ascii(envelope.reply_to))
    mail["Subject"] = _short(wording.subject)
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{envelope.message_id}@{envelope.sender.domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(wording.text)
    mail.add_alternative(wording.html, subtype="html")
    for invite in invites[:1]:
        says = {"method": invite.method, "component": "VEVENT"}
        mail.add_alternative(invite.content.decode(), subtype="calendar", params=says, cte="base64")
    for number, invite in enumerate(invites, start=1):
        name = INVITE if number == 1 else f"invite-{number}.ics"
        mail.add_attachment(invite.content, maintype="application", subtype="ics", filename=name, params={"name": name})
    for one in enclosures:
        main, _slash, sub = one.kind.partition("/")
        mail.add_attachment(one.content, maintype=main, subtype=sub, filename=one.name)
    return bytes(mail)


def _short(text: str) -> str:
    """One line, short enough for a header, whatever it holds."""
    return " ".join(text.split())[:LONGEST]


def in_ascii(address: str) -> str:
    """The address with its domain as mail servers know it: "ann@bücher.example" is "ann@xn--bcher-kva.example"."""
    if address.isascii():
        return address
    name, _, domain = address.rpartition("@")
    return f"{name}@{idna.encode(domain, uts46=True).decode()}"


def bounce_address(sender: str, message_id: int) -> str:
    """Whom the server tells that a letter came back: our address with the number of the message in it."""
    name, _, domain = sender.rpartition("@")
    return f"{name}+{message_id}@{domain}"


class MailServer:
    """A connection to the mail server, opened with the first letter and kept for the next ones."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server
        self._connection: smtplib.SMTP | None = None

    def send(self, sender: str, recipient: str, content: bytes) -> None:
        """Hands the letter over. Raises SendError."""
        try:
            connection = self._begun(sender)
            _check(connection.rcpt(in_ascii(recipient)))
            _check(connection.data(content))
        except (Later, Refused):
            self._start_over()
            raise
        except Away:
            self.close()
            raise
        except (smtplib.SMTPException, OSError) as error:
            self.close()
            raise BrokeOff(f"mail server: {_words(error)}") from error

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.quit()
            except (smtplib.SMTPException, OSError):
                connection.close()

    def _begun(self, sender: str) -> smtplib.SMTP:
        """The connection with a letter begun on it. A server may have closed one that was kept: then a new one."""
        if self._connection is not None:
            try:
                code, _ = self._connection.mail(sender)
                if code == 250:
                    return self._connection
            except (smtplib.SMTPException, OSError):
                pass
            self.close()
        try:
            self._connection = connected(self._server)
            code, words = self._connection.mail(sender)
        except (smtplib.SMTPException, OSError) as error:
            raise Away(f"mail server: {_words(error)}") from error
        if code != 250:
            raise Away(f"{code} {words.decode(errors='replace')}")  # it takes nothing from us
        return self._connection

    def _start_over(self) -> None:
        """After a refusal the next letter needs a clean start."""
        try:
            if self._connection is not None:
                self._connection.rset()
        except (smtplib.SMTPException, OSError):
            self.close()


def connected(server: SmtpServer) -> smtplib.SMTP:
    """A conversation that is ready for letters: encrypted, and signed in, as the settings say."""
    if server.encryption == "tls":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(
            server.host, server.port, timeout=TIMEOUT, context=ssl.create_default_context()
        )
    else:
        connection = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT)
    try:
        if server.encryption == "starttls":
            connection.starttls(context=ssl.create_default_context())
        if server.username is not None and server.password is not None:
            connection.login(server.username, server.password)
        connection.ehlo_or_helo_if_needed()
    except (smtplib.SMTPException, OSError):
        connection.close()
        raise
    return connection


def _check(answer: tuple[int, bytes]) -> None:
    """Raises what an answer other than yes means: 4xx passes, 5xx does not (RFC 5321 4.2.1)."""
    code, words = answer
    if code in (250, 251):
        return
    refusal: type[SendError] = Away if code == CLOSING else Refused if 500 <= code < 600 else Later
    raise refusal(f"{code} {words.decode(errors='replace')}")


def _words(error: Exception) -> str:
    """What went wrong, without what else a server may tell."""
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        return f"{error.smtp_code} {said if isinstance(said, str) else said.decode(errors='replace')}"
    return type(error).__name__
