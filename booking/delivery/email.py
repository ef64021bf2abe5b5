"""E-mail: the letter as bytes, built once and kept for the retry, and its way to the mail server."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from booking.config import SmtpServer
from booking.delivery.errors import SendError
from booking.delivery.wording import Wording

TIMEOUT = 20  # seconds for each step of the conversation


@dataclass(frozen=True)
class Envelope:
    """From whom, to whom, whom to answer, and the part of the Message-ID before our domain."""

    sender: Address
    recipient: str
    reply_to: str
    message_id: str


def letter(wording: Wording, envelope: Envelope, now: datetime) -> bytes:
    """The message as bytes (RFC 5322, text and HTML). Headers refuse line breaks, so no text can add one."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = envelope.sender
    mail["To"] = envelope.recipient
    mail["Reply-To"] = envelope.reply_to
    mail["Subject"] = " ".join(wording.subject.split())
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{envelope.message_id}@{envelope.sender.domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(wording.text)
    mail.add_alternative(wording.html, subtype="html")
    return bytes(mail)


def send_email(server: SmtpServer, sender: str, recipient: str, content: bytes) -> None:
    """Hands the letter to the mail server. Raises SendError: 5xx answers are permanent, all else is tried again."""
    try:
        with _connected(server) as connection:
            connection.sendmail(sender, [recipient], content)
    except smtplib.SMTPRecipientsRefused as error:
        code, words = next(iter(error.recipients.values()))
        raise SendError(f"{code} {words.decode(errors='replace')}", is_permanent=500 <= code < 600) from error
    except smtplib.SMTPResponseException as error:
        reason = f"{error.smtp_code} {_words(error.smtp_error)}"
        raise SendError(reason, is_permanent=_is_about_the_letter(error)) from error
    except (smtplib.SMTPException, OSError) as error:
        raise SendError(f"mail server: {type(error).__name__}", is_permanent=False) from error


def _is_about_the_letter(error: smtplib.SMTPResponseException) -> bool:
    """A refused sign-in or greeting is our fault and passes; a refused letter does not."""
    is_ours = isinstance(error, smtplib.SMTPAuthenticationError | smtplib.SMTPConnectError | smtplib.SMTPHeloError)
    return 500 <= error.smtp_code < 600 and not is_ours


def _words(answer: bytes | str) -> str:
    return answer if isinstance(answer, str) else answer.decode(errors="replace")


def _connected(server: SmtpServer) -> smtplib.SMTP:
    if server.encryption == "tls":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(
            server.host, server.port, timeout=TIMEOUT, context=ssl.create_default_context()
        )
    else:
        connection = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT)
    if server.encryption == "starttls":
        connection.starttls(context=ssl.create_default_context())
    if server.username is not None and server.password is not None:
        connection.login(server.username, server.password)
    return connection
