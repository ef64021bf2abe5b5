"""Settings: read once from the environment, checked at the start, wrong ones refused in words."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkstemp
from urllib.parse import SplitResult, unquote, urlsplit

from email_validator import EmailNotValidError, validate_email

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = ("nl", "fr", "de", "en")


class SettingError(Exception):
    """A setting that cannot work; the text says which and what to do."""


@dataclass(frozen=True)
class SmtpServer:
    host: str
    port: int
    encryption: str  # "starttls", "tls" or "none"
    username: str | None
    password: str | None = field(repr=False)
    per_second: float = 0  # no more letters than that; 0: as many as it takes


@dataclass(frozen=True)
class TwilioAccount:
    sid: str
    token: str = field(repr=False)
    sender: str = ""
    address: str | None = None  # another address of the service, for tests
    per_second: float = 0


@dataclass(frozen=True)
class Settings:
    """What an installation decides. `keys`: the first signs, all verify; newest first."""

    database: str = field(repr=False)
    keys: tuple[bytes, ...] = field(repr=False)
    instance: Path
    url: str = "http://localhost:8000"
    hosts: Mapping[str, str] = field(default_factory=dict)
    sender: str = "balie@localhost"
    smtp: SmtpServer | None = None
    twilio: TwilioAccount | None = None
    proxies: int = 0
    day_lists: Path | None = None  # where the lists of the day are written at six

    @property
    def is_https(self) -> bool:
        return self.url.startswith("https://")


def settings_from(environment: Mapping[str, str]) -> Settings:
    """The settings that stand in `environment`; raises SettingError with words for the first wrong one."""
    instance = _folder(Path(environment.get("BALIE_INSTANCE", ROOT / "instance")))
    return Settings(
        database=_database(environment.get("BALIE_DATABASE", f"sqlite:///{instance / 'balie.sqlite'}")),
        keys=_keys(environment.get("BALIE_KEYS"), instance / "keys"),
        instance=instance,
        url=_url(environment.get("BALIE_URL", "http://localhost:8000")),
        hosts=_hosts(environment.get("BALIE_HOSTS", "")),
        sender=_sender(environment.get("BALIE_SENDER"), has_smtp="BALIE_SMTP" in environment),
        smtp=_smtp(environment.get("BALIE_SMTP"), _rate("BALIE_SMTP_PER_SECOND", environment)),
        twilio=_twilio(environment),
        day_lists=_day_lists(environment.get("BALIE_DAY_LISTS")),
        proxies=_count("BALIE_PROXIES", environment.get("BALIE_PROXIES", "0")),
    )


def settings_from_environment() -> Settings:
    return settings_from(os.environ)


def _folder(given: Path) -> Path:
    try:
        given.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(f"BALIE_INSTANCE is {str(given)!r}, which cannot be made a folder: {error}.") from error
    return given


def _day_lists(given: str | None) -> Path | None:
    if given is None:
        return None
    place = Path(given)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(f"BALIE_DAY_LISTS is {given!r}, which cannot be made a folder: {error}.") from error
    return place


def _database(given: str) -> str:
    if not given.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise SettingError("BALIE_DATABASE must be like sqlite:////folder/file or postgresql+psycopg://name@host/base.")
    return given


def _keys(given: str | None, file: Path) -> tuple[bytes, ...]:
    """Signing keys, newest first: given in BALIE_KEYS (comma-separated) or kept in a file that only we can read."""
    if given is None:
        if not file.exists():
            _write_once(file, secrets.token_hex(32) + "\n")
        given = ",".join(file.read_text().split())
    keys = tuple(one.strip().encode() for one in given.split(",") if one.strip())
    if not keys or any(len(one) < 32 for one in keys):
        raise SettingError("BALIE_KEYS must hold keys of at least 32 characters, newest first, separated by commas.")
    return keys


def _write_once(file: Path, text: str) -> None:
    """Writes the file unless another process just did; readable by its owner only, and never seen half written."""
    descriptor, draft = mkstemp(dir=file.parent)  # mode 0600
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)
    with suppress(FileExistsError):
        os.link(draft, file)
    os.unlink(draft)


def _url(given: str) -> str:
    address = given.rstrip("/")
    parts = _split(address)
    if parts is None or parts.scheme not in ("http", "https") or address != f"{parts.scheme}://{parts.netloc}":
        raise SettingError(f"BALIE_URL is {given!r}; it must be like https://appointments.example.org, with no path.")
    return address


def _split(address: str) -> SplitResult | None:
    """The parts of an address with a host and, if it names one, a port; None if it is not like that."""
    try:
        parts = urlsplit(address)
        return parts if parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


def _hosts(given: str) -> dict[str, str]:
    pairs = [[part.strip() for part in one.split("=")] for one in given.split(",") if one.strip()]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise SettingError(f"BALIE_HOSTS is {given!r}; it must be like afspraak.town.example=town,other.example=other.")
    return {host.lower(): town for host, town in pairs}


def _sender(given: str | None, *, has_smtp: bool) -> str:
    if given is None:
        if has_smtp:
            raise SettingError("BALIE_SMTP is set but BALIE_SENDER is not: say from which address e-mail comes.")
        return "balie@localhost"
    try:
        return validate_email(given, check_deliverability=False, allow_smtputf8=False).ascii_email or given
    except EmailNotValidError as error:
        raise SettingError(f"BALIE_SENDER is {given!r}, which is not an e-mail address: {error}") from error


def _smtp(given: str | None, per_second: float) -> SmtpServer | None:
    if given is None:
        return None
    hint = "BALIE_SMTP must be like smtp+starttls://name:password@mail.example.org:587 (or smtps://, or smtp://)."
    parts = _split(given)
    encryption = {"smtp+starttls": "starttls", "smtps": "tls", "smtp": "none"}.get(parts.scheme if parts else "")
    if parts is None or parts.hostname is None or encryption is None:
        raise SettingError(hint)
    if bool(parts.username) != bool(parts.password):
        raise SettingError(f"BALIE_SMTP has a name without a password or the other way round. {hint}")
    port = parts.port or {"starttls": 587, "tls": 465, "none": 25}[encryption]
    username = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    return SmtpServer(parts.hostname, port, encryption, username, password, per_second)


def _twilio(environment: Mapping[str, str]) -> TwilioAccount | None:
    names = ("BALIE_TWILIO_SID", "BALIE_TWILIO_TOKEN", "BALIE_TWILIO_SENDER")
    missing = [name for name in names if not environment.get(name)]
    if len(missing) == len(names) and not environment.get("BALIE_TWILIO_ADDRESS"):
        return None
    if missing:
        raise SettingError(f"Text messages need all of {', '.join(names)}; missing: {', '.join(missing)}.")
    sid, token, sender = (environment[name] for name in names)
    per_second = _rate("BALIE_TWILIO_PER_SECOND", environment)
    return TwilioAccount(sid, token, sender, environment.get("BALIE_TWILIO_ADDRESS"), per_second)


def _count(name: str, given: str) -> int:
    if not (given.isascii() and given.isdigit()):
        raise SettingError(f"{name} is {given!r}; it must be a whole number.")
    return int(given)


def _rate(name: str, environment: Mapping[str, str]) -> float:
    given = environment.get(name, "0")
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", given):
        raise SettingError(f"{name} is {given!r}; it must be a number of messages like 20 or 0.5, or 0 for no limit.")
    return float(given)
