"""Which program fetched a calendar, as people call it."""

from __future__ import annotations

import re

LONGEST = 40
KNOWN = (  # the first word found in the User-Agent decides
    ("google-calendar", "Google"),
    ("googlebot", "Google"),
    ("dataaccessd", "Apple (iPhone, iPad)"),
    ("calendaragent", "Apple (Mac)"),
    ("calendar/", "Apple (Mac)"),
    ("ios/", "Apple (iPhone, iPad)"),
    ("macos/", "Apple (Mac)"),
    ("mac+os+x", "Apple (Mac)"),
    ("mac os x/", "Apple (Mac)"),
    ("microsoft", "Outlook"),
    ("outlook", "Outlook"),
    ("thunderbird", "Thunderbird"),
    ("nextcloud", "Nextcloud"),
    ("icsx5", "ICSx⁵"),
    ("evolution", "Evolution"),
    ("mozilla/", "a browser"),
)
_UNUSUAL = re.compile(r"[^\w .()+-]+")


def program(user_agent: str) -> str:
    """ "Google", "Thunderbird"; for others the first word of what they call themselves, empty if they do not."""
    said = user_agent.lower()
    known = next((name for word, name in KNOWN if word in said), None)
    return known or _UNUSUAL.sub("", user_agent.split("/")[0]).strip()[:LONGEST]
