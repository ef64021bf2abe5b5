"""A proof of work instead of a puzzle: the browser reckons for a second while the form is filled in (ALTCHA).

A challenge is signed with a derived key and belongs to one hold, which becomes a booking once: so a solution is worth
nothing for any other. It ends when that hold can be extended no more. Nothing is stored, and nobody else is asked.
"""

from __future__ import annotations

import json

from altcha import Payload, create_challenge, verify_solution
from flask import current_app

from booking.appointments.holds import LONGEST
from booking.appointments.models import Hold
from booking.links import derived_key
from booking.web.pages import now
from booking.web.towns import town

ALGORITHM, COST = "PBKDF2/SHA-256", 5_000
PREFIX = "00"  # what a derived key must begin with: on average 256 tries, a second on a laptop, some on an old phone
LONGEST_ANSWER = 4_000  # characters


def challenge(held: Hold) -> str | None:
    """What the browser has to solve for this hold, as JSON; None where the municipality asks for nothing."""
    if not town().asks_proof:
        return None
    bound_to = {"hold": held.id, "until": int((held.made_at + LONGEST).timestamp())}
    made = create_challenge(ALGORITHM, COST, key_prefix=PREFIX, data=bound_to, hmac_secret=_secrets()[0])
    return json.dumps(made.to_dict())


def is_given(held: Hold, answer: str | None) -> bool:
    """Whether this is a solution of a challenge that we set for this hold and that has not ended."""
    if not (town().asks_proof and answer) or len(answer) > LONGEST_ANSWER:
        return False
    if not any(verify_solution(answer, secret).verified for secret in _secrets()):
        return False
    bound_to = Payload.from_base64(answer).challenge.parameters.data or {}
    return bound_to.get("hold") == held.id and bound_to.get("until", 0) > now().timestamp()


def _secrets() -> list[str]:
    return [derived_key(key, "proof") for key in current_app.extensions["balie"]["settings"].keys]
