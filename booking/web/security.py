"""What every answer carries and every form needs: headers, cookies, tokens against forged requests, sign-in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Flask, Response, abort, request
from flask.sessions import SecureCookieSessionInterface
from flask_login import LoginManager, UserMixin
from flask_wtf import CSRFProtect

from booking.config import Settings
from booking.db import begin_write, db
from booking.staff.models import Staff

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self' data:",  # KERN-UX draws its icons as data: images
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


class TownSessions(SecureCookieSessionInterface):
    """A session cookie for each municipality: its path is the municipality's."""

    def get_cookie_path(self, app: Flask) -> str:
        return request.script_root or "/"


class SignedIn(UserMixin):  # type: ignore[misc]
    """The account behind a session, as Flask-Login wants it."""

    def __init__(self, row: Staff) -> None:
        self.row = row

    def get_id(self) -> str:
        return f"{self.row.id}-{self.row.generation}"


def install(app: Flask, settings: Settings) -> None:
    app.config.update(
        SESSION_COOKIE_NAME="balie",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.is_https,
        PERMANENT_SESSION_LIFETIME=timedelta(hours=12),
        WTF_CSRF_TIME_LIMIT=None,  # an agenda stays open all day
        WTF_CSRF_SSL_STRICT=False,  # it wants a referrer, and our pages send none
    )
    app.session_interface = TownSessions()
    app.before_request(_begin)
    CSRFProtect(app)
    login = LoginManager(app)
    login.session_protection = None  # a clerk's address may change during the day; the generation revokes
    login.user_loader(_signed_in)
    app.after_request(_headers)


def _begin() -> None:
    """A request that changes something begins its transaction as a writing one, before its first read.

    The whole body is read before: a slow sender must not keep the write lock of SQLite.
    """
    typed = [*request.form.values(), *request.args.values(), request.path, request.script_root]
    if any("\0" in text for text in typed):
        abort(400)  # PostgreSQL stores no NUL, and nobody types one
    if request.method not in ("GET", "HEAD", "OPTIONS") and request.endpoint is not None:
        begin_write()


def _signed_in(session_id: str) -> SignedIn | None:
    id, _, generation = session_id.partition("-")
    row = db.session.get(Staff, int(id)) if id.isdigit() else None
    is_current = row is not None and row.is_active and str(row.generation) == generation
    return SignedIn(row) if row is not None and is_current else None


def _headers(response: Response) -> Response:
    wanted: dict[str, Any] = {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }
    for name, value in wanted.items():
        response.headers.setdefault(name, value)
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"  # pages show people and links that are secret
    if request.is_secure:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    return response
