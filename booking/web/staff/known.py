"""Browsers that know an account: whoever guesses passwords elsewhere does not shut its owner out of them.

The cookie of such a browser signs nothing in. It names an account and a number of its own, and its tries are counted by
that number alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta

from flask import current_app, request
from werkzeug.wrappers import Response

from booking import links
from booking.config import Settings
from booking.db import db
from booking.staff.accounts import LONGEST_WINDOW, Limit
from booking.staff.models import Staff
from booking.web.towns import town

COOKIE = "balie-known"
LASTS = timedelta(days=400)  # as long as browsers keep one
MOST = 10  # accounts of one browser: colleagues share a computer


def limits_of_known(email: str) -> list[Limit]:
    """The limits of this browser for the account of the address; none where it does not know the account."""
    found = next((claim for claim in _claims() if _is_of(claim, email)), None)
    if found is None:
        return []
    about = links.pseudonym(_settings().keys[0], "known-browser", f"{found.id}:{found.generation}")
    week = links.pseudonym(_settings().keys[0], "known-browser-week", about)
    return [Limit(about, 10), Limit(week, 50, LONGEST_WINDOW)]


def remember(answer: Response, account: Staff) -> None:
    """This browser knows the account from now on."""
    known = list(_claims())
    own = next((claim for claim in known if claim.id == account.id), None)
    number = own.generation if own else secrets.randbits(52)
    kept = [links.Claim(account.id, number), *(claim for claim in known if claim.id != account.id)][:MOST]
    tokens = [links.token(_settings().keys, COOKIE, claim.id, claim.generation) for claim in kept]
    answer.set_cookie(
        COOKIE,
        ".".join(tokens),
        max_age=LASTS,
        path=request.script_root or "/",
        secure=_settings().is_https,
        httponly=True,
        samesite="Lax",
    )


def _claims() -> Iterator[links.Claim]:
    """What the cookie says, as far as we have given it out."""
    for token in request.cookies.get(COOKIE, "").split(".")[:MOST]:
        claim = links.claim(_settings().keys, COOKIE, token)
        if claim is not None:
            yield claim


def _is_of(claim: links.Claim, email: str) -> bool:
    row = db.session.get(Staff, claim.id)
    return row is not None and row.municipality_id == town().id and row.email == email.strip().lower()


def _settings() -> Settings:
    settings: Settings = current_app.extensions["balie"]["settings"]
    return settings
