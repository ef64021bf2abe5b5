"""A worker that dies at one step of its first message: python -m tests.dying STEP_OF_THE_WORKER WHERE FILE.

It is the worker's own step, run again and again; it makes FILE when it is ready, and kills itself (SIGKILL) WHERE the
message was not yet claimed, was claimed, is about to be handed over, was handed over, or was all but written down.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from booking import create_app
from booking.delivery import doors, send
from booking.worker import run_step

PLACES = ("before claim", "after claim", "before the call", "after the call", "before recording")


def die(*_: Any, **__: Any) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def prepare(where: str) -> None:
    """Puts the death where it shall be."""
    if where == "before claim":
        send.claim = die
    elif where == "after claim":
        send._parcel = die
    elif where == "before the call":
        doors.MailServer.send = doors.TextService.send = die  # type: ignore[method-assign]
    elif where == "after the call":
        for door in (doors.MailServer, doors.TextService):
            die_after(door, "send")
    else:
        die_after(send, "record_sent")


def die_after(owner: Any, name: str) -> None:
    whole = getattr(owner, name)

    def partly(*given: Any, **more: Any) -> None:
        whole(*given, **more)
        die()

    setattr(owner, name, partly)


def main(step: str, where: str, ready: Path) -> None:
    app = create_app()
    prepare(where)
    run_step(app, step)
    ready.touch()
    while True:
        run_step(app, step)
        time.sleep(0.01)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
