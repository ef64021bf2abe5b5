"""Reminder rules in a cell of a file: "1 day 18:00 email; 2 hours email+sms"; "none", or "usual" for no own ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from booking.townhall.sheets import _, listed

Rules = list[dict[str, Any]] | None  # as service.reminders keeps them; None: those of the municipality
USUAL, NONE = "usual", "none"
MOST = {"day": 60, "hour": 72}
CHANNELS = ("email", "sms")
_RULE = re.compile(r"(\d{1,2}) (day|hour)s?(?: ([01]\d|2[0-3]):([0-5]\d))? (email|sms|email\+sms)", re.ASCII)


def rules(text: str) -> Rules:
    """Reads the rules of a cell. Raises ValueError."""
    if text in ("", USUAL):
        return None
    found = [] if text == NONE else [_rule(part) for part in listed(text)]
    if len({rule["occasion"] for rule in found}) < len(found):
        raise ValueError(_wrong())
    return found


def _rule(part: str) -> dict[str, Any]:
    match = _RULE.fullmatch(part)
    if match is None or not 1 <= int(match[1]) <= MOST[match[2]] or (match[2] == "day") != bool(match[3]):
        raise ValueError(_wrong())
    number, unit, channels = int(match[1]), f"{match[2]}s", match[5].split("+")
    rule: dict[str, Any] = {"occasion": f"{number}-{unit}-before", unit: number, "channels": channels}
    return rule | {"at": f"{match[3]}:{match[4]}"} if match[3] else rule


def _wrong() -> str:
    return _("it must be reminders like 1 day 18:00 email; 2 hours email+sms, or none, or usual.")


def said(rules: Sequence[dict[str, Any]] | None) -> str:
    """The rules as a cell has them."""
    if rules is None:
        return USUAL
    return "; ".join(map(_said, rules)) or NONE


def _said(rule: dict[str, Any]) -> str:
    channels = "+".join(one for one in CHANNELS if one in rule["channels"])
    unit = "days" if "days" in rule else "hours"
    number = f"{rule[unit]} {unit if rule[unit] > 1 else unit.removesuffix('s')}"
    return " ".join([number, *([rule["at"]] if unit == "days" else []), channels])
