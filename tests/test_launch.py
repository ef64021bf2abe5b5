"""`make run`: it says in words what is wrong, and what it starts it also stops."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from booking.config import ROOT, Settings
from booking.demo.town import SignIn
from booking.launch import CannotRun, check_database, chosen_port, welcome
from tests.factories import Town

pytestmark = pytest.mark.house

PATIENCE = 120  # seconds, on a busy machine


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def surroundings(folder: Path, **settings: str) -> dict[str, str]:
    """This environment without settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BALIE_")}
    return kept | {"BALIE_INSTANCE": str(folder / "instance")} | settings


def launched(port: int, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What a start that cannot succeed says."""
    command = [sys.executable, "-m", "booking.launch", "--port", str(port)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.run(command, cwd=ROOT, env=environment, text=True, timeout=PATIENCE, check=False, **pipes)


class Running:
    """Balie as `make run` starts it; `said` is all that stood in the terminal."""

    def __init__(self, port: int, environment: dict[str, str], log: Path) -> None:
        self.port, self.log = port, log
        command = [sys.executable, "-m", "booking.launch", "--port", str(port)]
        with log.open("wb") as out:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_until_up(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while "Stop with Ctrl-C" not in self.said:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.1)

    def children(self) -> dict[str, int]:
        """The process numbers of the two programs."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        command = {int(number): Path(f"/proc/{number}/cmdline").read_text() for number in found}
        return {"web" if "gunicorn" in line else "worker": number for number, line in command.items()}

    def answer(self) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", "/")  # /health is 503 until the worker has beaten
        status = connection.getresponse().status
        connection.close()
        return status

    def has_left_nothing(self, children: dict[str, int]) -> bool:
        with socket.socket() as probe:
            is_silent = probe.connect_ex(("127.0.0.1", self.port)) != 0
        return is_silent and not any(Path(f"/proc/{number}").exists() for number in children.values())


@contextmanager
def running(environment: dict[str, str], folder: Path) -> Iterator[Running]:
    """Balie, up; whatever the test does, it is stopped at the end."""
    balie = Running(free_port(), environment, folder / "log")
    try:
        balie.wait_until_up()
        yield balie
    finally:
        balie.process.terminate()
        balie.process.wait(PATIENCE)


def test_a_taken_port_is_said_in_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        outcome = launched(port, surroundings(tmp_path))
    assert outcome.returncode == 1
    assert f"Port {port} is taken by another program" in outcome.stderr
    assert "make run PORT=" in outcome.stderr


@pytest.mark.parametrize("port", ["eight", "0", "65536", "٨", ""])
def test_a_port_that_is_none_is_said_in_words(port: str) -> None:
    with pytest.raises(CannotRun, match="must be a number from 1 to 65535"):
        chosen_port(["--port", port])


@pytest.mark.parametrize("address", ["nonsense", "mysql://me:secret@localhost/balie", "postgresql+asyncpg://balie"])
def test_a_database_that_balie_does_not_know_is_said_in_words(address: str) -> None:
    with pytest.raises(CannotRun, match="BALIE_DATABASE must be like"):
        check_database(address)


def test_a_database_that_does_not_answer_is_said_in_words(tmp_path: Path) -> None:
    address = "postgresql+psycopg://me:secret@127.0.0.1:1/balie"
    outcome = launched(free_port(), surroundings(tmp_path, BALIE_DATABASE=address))
    assert outcome.returncode == 1
    assert "me:***@127.0.0.1:1/balie cannot be used: connection failed" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_the_welcome_says_where_and_who() -> None:
    people = [SignIn("a@b.example", "1234", "clerk"), SignIn("long@d.example", "5", "lead")]
    text = welcome("http://localhost:8001", people)
    assert "Balie runs at http://localhost:8001\n" in text
    assert "  a@b.example     1234      clerk\n" in text
    assert "  long@d.example  5         lead\n" in text


@pytest.mark.slow
def test_an_empty_start_has_a_demo_and_ends_at_ctrl_c(tmp_path: Path) -> None:
    with running(surroundings(tmp_path), tmp_path) as balie:
        children = balie.children()
        assert set(children) == {"web", "worker"}
        assert balie.answer() < 500
        assert "katrien.vandewalle@" in balie.said
        balie.process.send_signal(signal.SIGINT)
        assert balie.process.wait(PATIENCE) == 0
        assert balie.said.endswith("Balie has stopped.\n")
        assert "Traceback" not in balie.said
        assert balie.has_left_nothing(children)


@pytest.mark.slow
@pytest.mark.parametrize(("victim", "words"), [("web", "The web server has ended"), ("worker", "The worker has ended")])
def test_when_one_program_ends_the_other_is_stopped(
    victim: str, words: str, settings: Settings, town: Town, tmp_path: Path
) -> None:
    with running(surroundings(tmp_path, BALIE_DATABASE=settings.database), tmp_path) as balie:
        children = balie.children()
        assert "demo" not in balie.said
        os.kill(children[victim], signal.SIGKILL)
        assert balie.process.wait(PATIENCE) == 1
        assert words in balie.said
        assert balie.has_left_nothing(children)
