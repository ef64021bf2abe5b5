"""The ways out: a mail server or files, Twilio or files. One small door: send the parcel, or say why not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from booking.config import Settings
from booking.delivery.email import MailServer, bounce_address
from booking.delivery.files import write
from booking.delivery.sms import TextService
from booking.outbox.models import MessageChannel


@dataclass(frozen=True)
class Parcel:
    """A message ready to go: all that is needed once the transaction is closed.

    `file_name` ("<town>/<name>") is where it is written when no provider is set; `receipts_to` is the address that
    the provider tells what became of it.
    """

    id: int
    channel: MessageChannel
    recipient: str
    content: bytes
    file_name: str
    receipts_to: str | None


class Door(Protocol):
    """A way out."""

    def send(self, parcel: Parcel) -> str | None:
        """Hands the message over; the provider's id of it, if it gives one. Raises SendError. Holds no transaction."""


@dataclass(frozen=True)
class _Files:
    settings: Settings

    def send(self, parcel: Parcel) -> None:
        write(self.settings.instance, parcel.file_name, parcel.recipient, parcel.content, parcel.channel)


@dataclass(frozen=True)
class _Mail:
    server: MailServer
    sender: str

    def send(self, parcel: Parcel) -> None:
        self.server.send(bounce_address(self.sender, parcel.id), parcel.recipient, parcel.content)


@dataclass(frozen=True)
class _Texts:
    service: TextService

    def send(self, parcel: Parcel) -> str:
        return self.service.send(parcel.recipient, parcel.content.decode(), parcel.receipts_to)


@contextmanager
def door(settings: Settings, channel: MessageChannel) -> Iterator[Door]:
    """The way out that the settings name for this channel, open for many messages."""
    if channel == MessageChannel.SMS and settings.twilio is not None:
        yield _Texts(TextService(settings.twilio))
    elif channel == MessageChannel.EMAIL and settings.smtp is not None:
        server = MailServer(settings.smtp)
        try:
            yield _Mail(server, settings.sender)
        finally:
            server.close()
    else:
        yield _Files(settings)
