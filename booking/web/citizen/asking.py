"""Who asks, as pseudonyms that are counted and tell nobody anything."""

from __future__ import annotations

from flask import current_app, request, session

from booking import links
from booking.staff.accounts import address_of
from booking.web.towns import town


def browser() -> str | None:
    """The browser, by the secret of its forms, which an old cookie sent again has too; None before its first form."""
    secret = session.get("csrf_token")
    return _pseudonym("browser", secret) if secret else None


def address() -> str:
    """The network address."""
    return _pseudonym("address", address_of(request.remote_addr))


def _pseudonym(purpose: str, text: str) -> str:
    key = current_app.extensions["balie"]["settings"].keys[0]
    return links.pseudonym(key, purpose, f"{town().id}:{text}")
