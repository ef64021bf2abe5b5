"""A PostgreSQL server for one run: on disk, and careful with what it is told, as in production."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.postgresql import Cluster, _as_postgres, _binaries

# What is committed is on the disk. No checkpoint falls due by size while a burst is measured.
OPTIONS = (
    "-c fsync=on -c synchronous_commit=on -c full_page_writes=on -c listen_addresses='' -c max_connections=300"
    " -c shared_buffers=512MB -c max_wal_size=8GB -c checkpoint_timeout=30min"
)


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Makes a cluster inside the folder, runs it, and stops it at the end; the folder is its caller's."""
    binaries, place = _binaries(), folder / "postgresql"
    home = place / "data"
    place.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(place, "postgres")
    _as_postgres([f"{binaries}/initdb", "-D", f"{home}", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"])
    options = f"{OPTIONS} -k {place}"
    try:
        _as_postgres([f"{binaries}/pg_ctl", "-D", f"{home}", "-w", "-l", f"{place}/log", "-o", options, "start"])
        yield Cluster(place)
    finally:
        if (home / "postmaster.pid").exists():
            _as_postgres([f"{binaries}/pg_ctl", "-D", f"{home}", "-m", "immediate", "stop"])
