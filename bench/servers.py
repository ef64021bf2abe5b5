"""The servers that are measured: the command that is shipped, for Balie and for the bare handlers, on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from bench import bare
from bench.databases import KEY, Databases
from booking import launch
from booking.config import ROOT

OURS, BARE = "wsgi:app", "bench.bare:app"
LOG = "server.log"


@dataclass(frozen=True)
class Server:
    """A web server that answers at 127.0.0.1, with two workers of four threads."""

    port: int
    program: launch.Program

    @property
    def workers(self) -> list[int]:
        """The process ids of its workers."""
        pid = self.program.process.pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def serving(databases: Databases, *names: str) -> Iterator[list[Server]]:
    """A server for each database of these names, all ended by id at the end; `bare.NAME` gets the bare handlers."""
    with ExitStack() as running:
        yield [running.enter_context(_server(databases, name)) for name in names]


def memory(pid: int) -> tuple[float, float]:
    """What a process uses, in megabytes: its share of all memory (PSS), and all that it has in memory (RSS)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    found = {words[0]: int(words[1]) for words in (line.split() for line in lines) if len(words) == 3}
    return found["Pss:"] / 1024, found["Rss:"] / 1024


@contextmanager
def _server(databases: Databases, name: str) -> Iterator[Server]:
    port = _free_port()
    environment = {
        "BALIE_DATABASE": databases.url(name),
        "BALIE_URL": f"http://127.0.0.1:{port}",
        "BALIE_INSTANCE": str(databases.instance),
        "BALIE_KEYS": KEY.decode(),
        "BALIE_PROXIES": "1",  # so that clients can come from many addresses
    }
    databases.instance.mkdir(exist_ok=True)
    with (databases.folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            _command(port, BARE if name == bare.NAME else OURS),
            cwd=ROOT,
            env={**_without_settings(), **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    program = launch.Program(f"The server of {name}", process)
    try:
        launch.wait_for_answer(port, [program], Event())
        yield Server(port, program)
    finally:
        launch.stop([program])


def _command(port: int, application: str) -> Sequence[str]:
    """The web server's command as `make run` gives it."""
    shipped = launch._commands(port)["The web server"]
    return [sys.executable, "-m", *(application if word == OURS else word for word in shipped)]


def _without_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("BALIE_")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
