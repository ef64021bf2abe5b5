"""A PostgreSQL server of the tests' own: in a temporary folder, on a socket, as a user without privileges."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, text

OPTIONS = "-c fsync=off -c full_page_writes=off -c listen_addresses='' -c max_connections=300"


@dataclass(frozen=True)
class Cluster:
    """A running server; databases on it are reached through its socket."""

    socket: Path

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://postgres@/{name}?host={self.socket}"

    def create(self, name: str, template: str = "template0") -> None:
        self._run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')

    def drop(self, name: str) -> None:
        self._run(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _run(self, statement: str) -> None:
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()


@contextmanager
def start_cluster() -> Iterator[Cluster]:
    """Makes a cluster in a temporary folder, runs it, and stops and deletes it at the end."""
    binaries, folder = _binaries(), Path(tempfile.mkdtemp(prefix="balie-"))
    home = folder / "data"
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    _as_postgres([f"{binaries}/initdb", "-D", f"{home}", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"])
    options = f"{OPTIONS} -k {folder}"
    _as_postgres([f"{binaries}/pg_ctl", "-D", f"{home}", "-w", "-l", f"{folder}/log", "-o", options, "start"])
    try:
        yield Cluster(folder)
    finally:
        _as_postgres([f"{binaries}/pg_ctl", "-D", f"{home}", "-m", "immediate", "stop"])
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path:
    """Where initdb lies: on the path, or where Debian keeps it."""
    on_path = shutil.which("initdb")
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if on_path:
        return Path(on_path).resolve().parent
    if not places:
        raise RuntimeError("PostgreSQL is not installed. Run: sudo apt-get install postgresql")
    return places[-1]


def _as_postgres(command: list[str]) -> None:
    """Runs as the user postgres when we are root, because initdb refuses root."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    subprocess.run(prefix + command, check=True, stdout=subprocess.DEVNULL, cwd="/")
