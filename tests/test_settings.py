"""Settings: what cannot work is refused at the start, in words that name the setting."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from booking.config import SettingError, Settings, SmtpServer, TwilioAccount, settings_from

pytestmark = pytest.mark.house

KEY = "k" * 32
TWILIO = {
    "BALIE_TWILIO_SID": "AC123",
    "BALIE_TWILIO_TOKEN": "a secret token",
    "BALIE_TWILIO_SENDER": "+3215000000",
}


def settings(folder: Path, **environment: str) -> Settings:
    return settings_from({"BALIE_INSTANCE": str(folder), **environment})


def test_nothing_needs_to_be_set(tmp_path: Path) -> None:
    found = settings(tmp_path / "new" / "instance")

    assert found.database == f"sqlite:///{tmp_path}/new/instance/balie.sqlite"
    assert found.instance.is_dir()
    assert (found.url, found.is_https, dict(found.hosts), found.proxies) == ("http://localhost:8000", False, {}, 0)
    assert (found.sender, found.smtp, found.twilio) == ("balie@localhost", None, None)


def test_all_of_it_can_be_set(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        **TWILIO,
        BALIE_DATABASE="postgresql+psycopg://balie:secret@db.example.org/balie",
        BALIE_KEYS=f"{KEY}, {'o' * 40}",
        BALIE_URL="https://appointments.example.org/",
        BALIE_HOSTS=" Afspraak.Town.example = town , other.example=other",
        BALIE_SENDER="afspraken@example.org",
        BALIE_SMTP="smtp+starttls://na%40me:pass%3Aword@mail.example.org",
        BALIE_PROXIES="2",
    )

    assert found.keys == (KEY.encode(), b"o" * 40)
    assert (found.url, found.is_https, found.proxies) == ("https://appointments.example.org", True, 2)
    assert found.hosts == {"afspraak.town.example": "town", "other.example": "other"}
    assert found.smtp == SmtpServer("mail.example.org", 587, "starttls", "na@me", "pass:word")
    assert found.twilio == TwilioAccount("AC123", "a secret token", "+3215000000", None)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("smtps://mail.example.org", SmtpServer("mail.example.org", 465, "tls", None, None)),
        ("smtp://localhost:2525", SmtpServer("localhost", 2525, "none", None, None)),
        ("smtp+starttls://a:b@[::1]:26", SmtpServer("::1", 26, "starttls", "a", "b")),
    ],
)
def test_a_mail_server_says_how_it_is_spoken_to(tmp_path: Path, given: str, wanted: SmtpServer) -> None:
    assert settings(tmp_path, BALIE_SMTP=given, BALIE_SENDER="a@example.org").smtp == wanted


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BALIE_DATABASE", ""),
        ("BALIE_DATABASE", "balie.sqlite"),
        ("BALIE_DATABASE", "mysql://localhost/balie"),
        ("BALIE_DATABASE", "postgresql://localhost/balie"),
        ("BALIE_KEYS", ""),
        ("BALIE_KEYS", " , "),
        ("BALIE_KEYS", "k" * 31),
        ("BALIE_KEYS", f"{KEY},short"),
        ("BALIE_URL", ""),
        ("BALIE_URL", "appointments.example.org"),
        ("BALIE_URL", "ftp://example.org"),
        ("BALIE_URL", "https://"),
        ("BALIE_URL", "https://:8000"),
        ("BALIE_URL", "https://example.org:port"),
        ("BALIE_URL", "https://example.org:99999"),
        ("BALIE_URL", "https://[example.org"),
        ("BALIE_URL", "https://example.org/balie"),
        ("BALIE_URL", "https://example.org?town=a"),
        ("BALIE_URL", "https://example.org#top"),
        ("BALIE_HOSTS", "town.example"),
        ("BALIE_HOSTS", "town.example="),
        ("BALIE_HOSTS", "=town"),
        ("BALIE_HOSTS", "a.example=b=c"),
        ("BALIE_SENDER", ""),
        ("BALIE_SENDER", "nobody"),
        ("BALIE_SENDER", "a b@example.org"),
        ("BALIE_SENDER", "jürgen@example.org"),
        ("BALIE_PROXIES", ""),
        ("BALIE_PROXIES", "-1"),
        ("BALIE_PROXIES", "one"),
        ("BALIE_PROXIES", "²"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingError, match=f"^{name} "):
        settings(tmp_path, **{name: value})


@pytest.mark.parametrize(
    "value",
    [
        "",
        "mail.example.org",
        "https://mail.example.org",
        "smtp://",
        "smtp://:25",
        "smtp://mail.example.org:port",
        "smtp://mail.example.org:0",
        "smtp://mail.example.org:99999",
        "smtp://[mail.example.org",
        "smtp+starttls://name@mail.example.org",
        "smtp+starttls://name:@mail.example.org",
        "smtp+starttls://:secret-word@mail.example.org",
    ],
)
def test_a_wrong_mail_server_is_refused_and_its_password_is_not_repeated(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingError, match=r"^BALIE_SMTP ") as refusal:
        settings(tmp_path, BALIE_SMTP=value, BALIE_SENDER="a@example.org")

    assert "secret-word" not in str(refusal.value)


def test_a_mail_server_without_a_sender_is_half_a_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="BALIE_SENDER is not"):
        settings(tmp_path, BALIE_SMTP="smtp://localhost")


@pytest.mark.parametrize("missing", TWILIO)
def test_text_messages_need_all_of_their_settings(tmp_path: Path, missing: str) -> None:
    for half in ({**TWILIO, missing: ""}, {name: value for name, value in TWILIO.items() if name != missing}):
        with pytest.raises(SettingError, match=f"missing: {missing}") as refusal:
            settings(tmp_path, **half)

        assert "a secret token" not in str(refusal.value)


def test_another_address_for_text_messages_needs_an_account(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="missing: BALIE_TWILIO_SID, BALIE_TWILIO_TOKEN, BALIE_TWILIO_SENDER"):
        settings(tmp_path, BALIE_TWILIO_ADDRESS="http://localhost:4010")


def test_an_instance_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    with pytest.raises(SettingError, match=r"^BALIE_INSTANCE "):
        settings(tmp_path / "file")


def test_what_is_secret_is_not_shown(tmp_path: Path) -> None:
    shown = repr(
        settings(
            tmp_path,
            **TWILIO,
            BALIE_DATABASE="postgresql+psycopg://balie:secret-word@localhost/balie",
            BALIE_KEYS=KEY,
            BALIE_SMTP="smtp://name:secret-word@localhost",
            BALIE_SENDER="a@example.org",
        )
    )

    assert all(secret not in shown for secret in ("secret-word", "a secret token", KEY))


def test_the_keys_are_made_once_in_a_file_of_our_own(tmp_path: Path) -> None:
    first = settings(tmp_path)
    second = settings(tmp_path)

    assert first.keys == second.keys
    assert len(first.keys[0]) == 64
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["keys"]


def test_a_new_key_stands_in_front_of_the_old_one(tmp_path: Path) -> None:
    old = settings(tmp_path).keys[0]
    (tmp_path / "keys").write_text(f"{KEY}\n{old.decode()}\n")

    assert settings(tmp_path).keys == (KEY.encode(), old)


def test_processes_that_start_together_share_one_key(tmp_path: Path) -> None:
    together = Barrier(16)

    def start(_: int) -> tuple[bytes, ...]:
        together.wait()
        return settings(tmp_path).keys

    with ThreadPoolExecutor(16) as threads:
        for attempt in range(20):
            (tmp_path / "keys").unlink(missing_ok=True)

            assert len(set(threads.map(start, range(16)))) == 1, attempt
