"""The ways out: a mail server or files, Twilio or files. One small door: send the bytes, or say why not."""

from __future__ import annotations

from booking.config import Settings
from booking.delivery.email import send_email
from booking.delivery.errors import SendError
from booking.delivery.files import write
from booking.delivery.sms import send_sms
from booking.outbox.models import MessageChannel

__all__ = ["SendError", "send"]


def send(settings: Settings, channel: MessageChannel, recipient: str, content: bytes, file_name: str) -> str | None:
    """Hands the message over; the provider's id of it, if it gives one. Raises SendError. Holds no transaction.

    `file_name` ("<town>/<name>") is where it is written when no provider is set.
    """
    if channel == MessageChannel.EMAIL and settings.smtp is not None:
        send_email(settings.smtp, settings.sender, recipient, content)
        return None
    if channel == MessageChannel.SMS and settings.twilio is not None:
        return send_sms(settings.twilio, recipient, content.decode())
    write(settings.instance, file_name, recipient, content, channel)
    return None
