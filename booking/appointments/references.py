"""References: short codes that can be read aloud. They open nothing by themselves."""

from __future__ import annotations

import secrets

from sqlalchemy import select

from booking.appointments.models import Booking
from booking.db import db

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # neither 0 nor O, neither 1 nor I
LENGTH = 7


def new_reference() -> str:
    """Seven characters, of 34 billion. Whether the municipality has it already, its key says when it is inserted."""
    drawn = secrets.randbits(5 * LENGTH)  # 32 letters and digits: five bits each
    return "".join([ALPHABET[drawn >> 5 * n & 31] for n in range(LENGTH)])


def booking_with(municipality_id: int, typed: str) -> Booking | None:
    """The booking with the reference that somebody typed: spaces, dashes and small letters do not matter."""
    reference = plain(typed)
    return db.session.scalar(
        select(Booking).where(Booking.municipality_id == municipality_id, Booking.reference == reference)
    )


def plain(typed: str) -> str:
    """A reference as it is stored, however it was typed."""
    return "".join(character for character in typed.upper() if character.isalnum())


def grouped(reference: str) -> str:
    """As it is shown and read aloud: "K7 4P 9XA"."""
    return f"{reference[:2]} {reference[2:4]} {reference[4:]}"
