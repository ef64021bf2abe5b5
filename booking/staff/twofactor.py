"""The second factor of a sign-in: six digits of an authenticator (TOTP, RFC 6238).

The secret is derived from a key outside the database and the account's number: a copy of the database holds none.
"""

from __future__ import annotations

import base64
import hmac
from datetime import datetime

import pyotp
from sqlalchemy import func, update

from booking.db import run, table
from booking.links import Keys, derived_key
from booking.staff.models import Staff

STEP = 30  # seconds
CODES = 8  # recovery codes of a second factor


def secret(key: bytes, staff: Staff) -> str:
    """What the authenticator is told; another one each time the second factor is set up again."""
    purpose = f"totp:{staff.id}:{staff.totp_generation}"
    return base64.b32encode(bytes.fromhex(derived_key(key, purpose))[:20]).decode()


def address(key: bytes, staff: Staff, issuer: str) -> str:
    """The otpauth address that a QR code holds."""
    return pyotp.TOTP(secret(key, staff)).provisioning_uri(name=staff.email, issuer_name=issuer)


def accept(keys: Keys, staff: Staff, typed: str, now: datetime) -> bool:
    """Whether these are the digits of now, of the step before or after.

    Each is taken once only, also by two requests at once: the row itself says whether its step was still free.
    """
    digits = "".join(typed.split())
    fitting = [step for step in _steps(now) if any(_is_code(key, staff, digits, step) for key in keys)]
    return any(_take(staff.id, step) for step in fitting)


def recovery_codes(key: bytes, staff: Staff) -> list[str]:
    """What replaces the digits when the phone is gone, each once: ten digits, other ones for each secret."""
    return [f"{code[:5]} {code[5:]}" for code in (_recovery_code(key, staff, number) for number in range(CODES))]


def codes_left(staff: Staff) -> int:
    return CODES - staff.recovery_used.bit_count()


def accept_recovery(keys: Keys, staff: Staff, typed: str) -> bool:
    """Whether this is a recovery code that was not used yet; from now on it is, also for a request at the same time."""
    code = "".join(typed.split())
    if not code.isascii():
        return False
    fitting = [
        number
        for number in range(CODES)
        if any(hmac.compare_digest(code, _recovery_code(key, staff, number)) for key in keys)
    ]
    return any(_use(staff.id, number) for number in fitting)


def _recovery_code(key: bytes, staff: Staff, number: int) -> str:
    purpose = f"recovery:{staff.id}:{staff.totp_generation}:{number}"
    return f"{int(derived_key(key, purpose)[:16], 16) % 10**10:010d}"


def _use(staff_id: int, number: int) -> bool:
    rows = table(Staff)
    is_free = rows.c.recovery_used.bitwise_and(1 << number) == 0
    used = update(rows).where(rows.c.id == staff_id, is_free)
    count: int = run(used.values(recovery_used=rows.c.recovery_used + (1 << number))).rowcount
    return count == 1


def _take(staff_id: int, step: int) -> bool:
    rows = table(Staff)
    is_free = func.coalesce(rows.c.totp_step, 0) < step
    taken: int = run(update(rows).where(rows.c.id == staff_id, is_free).values(totp_step=step)).rowcount
    return taken == 1


def _steps(now: datetime) -> range:
    step = int(now.timestamp()) // STEP
    return range(step - 1, step + 2)


def _is_code(key: bytes, staff: Staff, digits: str, step: int) -> bool:
    return digits.isascii() and pyotp.utils.strings_equal(pyotp.TOTP(secret(key, staff)).at(step * STEP), digits)
