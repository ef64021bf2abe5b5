"""Messages as files, where no provider is set: the whole service can be tried without an account anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path

from booking.outbox.models import MessageChannel

FOLDER = "outbox"
SHOWN = 200
KEEP = timedelta(days=7)
_NAME = re.compile(r"[0-9]+\.(eml|txt)")


@dataclass(frozen=True)
class Letter:
    """A written message as a page shows it."""

    name: str
    written_at: datetime
    recipient: str
    subject: str
    text: str


def write(instance: Path, file_name: str, recipient: str, content: bytes, channel: MessageChannel) -> None:
    """Writes the message whole: to a name beside it first, then into place."""
    target = instance / FOLDER / file_name
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".part")
    prefix = f"To: {recipient}\n\n".encode() if channel == MessageChannel.SMS else b""
    unfinished.write_bytes(prefix + content)
    unfinished.replace(target)


def letters(instance: Path, slug: str) -> list[Letter]:
    """The newest messages of a municipality, newest first."""
    newest = sorted(_files(instance, slug), key=lambda file: -int(file.stem))[:SHOWN]
    return [_read(file) for file in newest]


def letter(instance: Path, slug: str, name: str) -> Letter | None:
    """One message by the name of its file."""
    file = instance / FOLDER / slug / name
    return _read(file) if _NAME.fullmatch(name) and file.is_file() else None


def delete_old(instance: Path, now: datetime) -> None:
    """Deletes the messages written more than KEEP ago: they hold names, contacts and live links."""
    for folder in (instance / FOLDER).glob("*/"):
        for file in _files(instance, folder.name):
            if datetime.fromtimestamp(file.stat().st_mtime, UTC) < now - KEEP:
                file.unlink(missing_ok=True)


def _files(instance: Path, slug: str) -> Iterator[Path]:
    folder = instance / FOLDER / slug
    return (file for file in folder.iterdir() if _NAME.fullmatch(file.name)) if folder.is_dir() else iter(())


def _read(file: Path) -> Letter:
    written_at = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    content = file.read_bytes()
    if file.suffix == ".txt":
        head, _, text = content.decode().partition("\n\n")
        return Letter(file.name, written_at, head.removeprefix("To: "), text, text)
    mail = BytesParser(EmailMessage, policy=default).parsebytes(content)
    body = mail.get_body(("plain",))
    return Letter(file.name, written_at, str(mail["To"]), str(mail["Subject"]), body.get_content() if body else "")
