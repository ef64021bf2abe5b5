"""A process that is killed at the last step of an import: nothing of the file is there, and it can come again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from booking.config import ROOT, Settings
from booking.db import db
from booking.townhall.models import Counter, OpeningHours
from tests.factories import Town

pytestmark = pytest.mark.townhall

DOOMED = """
import os, signal, sys
from booking import create_app
from booking.db import db

app = create_app()
with app.app_context():
    db.session.commit = lambda: os.kill(os.getpid(), signal.SIGKILL)
    app.test_cli_runner().invoke(args=["town", "import", *sys.argv[1:]])
"""


def counted(app: Flask) -> list[int | None]:
    with app.app_context():
        return [db.session.scalar(select(func.count()).select_from(table)) for table in (Counter, OpeningHours)]


def test_a_killed_import_leaves_nothing(
    app: Flask, town: Town, management: None, settings: Settings, tmp_path: Path
) -> None:
    file, rows = tmp_path / "counters.csv", [f"Stadhuis,civil,{number}" for number in range(100, 200)]
    file.write_text("\n".join(["office,desk,counter", *rows]))
    command = [str(file), "--as", "ann@testdorp.example.org"]
    environment = {
        "BALIE_DATABASE": settings.database,
        "BALIE_KEYS": "k" * 40,
        "BALIE_INSTANCE": str(settings.instance),
    }
    before = counted(app)

    given = [sys.executable, "-c", DOOMED, *command]
    died = subprocess.run(given, check=False, cwd=ROOT, env={**os.environ, **environment})

    assert died.returncode == -signal.SIGKILL
    assert counted(app) == before
    done = app.test_cli_runner().invoke(args=["town", "import", *command])
    assert "counters: 100 new, 0 changed, 0 as they were." in done.stdout
    assert counted(app) == [2 + 100, 20]
