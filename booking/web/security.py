"""What every answer carries and every form needs: headers, cookies, tokens against forged requests, sign-in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response, abort, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask_login import LoginManager, UserMixin, current_user
from flask_wtf import CSRFProtect
from itsdangerous import URLSafeTimedSerializer

from booking.config import Settings
from booking.db import begin_write
from booking.staff.accounts import account
from booking.staff.audit import origin
from booking.staff.models import Staff

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

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

GUARDING = (
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)
LARGEST = {
    "admin.exchange_import": 20_000_000
}  # bytes of a body from somebody who signed in, where it is not the usual
READING = frozenset({"GET", "HEAD", "OPTIONS"})


NOT_KEPT = ("Cache-Control", "no-store")  # pages show people and links that are secret
ONLY_HTTPS = ("Strict-Transport-Security", "max-age=31536000")


class GuardingHeaders:
    """Adds the headers that every answer of the application carries, errors too."""

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Callable[[bytes], object]:
            headers += GUARDING
            if all(name != "Cache-Control" for name, _ in headers):
                headers.append(NOT_KEPT)
            if environ["wsgi.url_scheme"] == "https":
                headers.append(ONLY_HTTPS)
            return start_response(status, headers, *error)

        return self.app(environ, start)


class TownSessions(SecureCookieSessionInterface):
    """A session cookie for each municipality: its path is the municipality's."""

    _signing: URLSafeTimedSerializer | None = None

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Made once: to make one takes as long as to check a signature."""
        self._signing = self._signing or super().get_signing_serializer(app)
        return self._signing

    def get_cookie_path(self, app: Flask) -> str:
        return request.script_root or "/"

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Who brings no cookie needs no signature checked."""
        has_cookie = "HTTP_COOKIE" in request.environ and self.get_cookie_name(app) in request.cookies
        return super().open_session(app, request) if has_cookie else self.session_class()

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """An answer for which nobody looked into the session is the same for everybody."""
        if session.accessed or session.modified:
            super().save_session(app, session, response)


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
    login = LoginManager()
    login.session_protection = None  # a clerk's address may change during the day; the generation revokes
    login.user_loader(_signed_in)
    app.login_manager = login  # type: ignore[attr-defined] # not init_app: it looks into each session to remember people
    app.context_processor(lambda: {"current_user": current_user})


def _begin() -> None:
    """A request that changes something begins its transaction as a writing one, before its first read.

    The whole body is read before: a slow sender must not keep the write lock of SQLite.
    """
    if "\0" in request.path or b"%00" in request.query_string:
        abort(400)  # PostgreSQL stores no NUL, and nobody types one
    origin.set(request.remote_addr)
    if request.method not in READING and request.endpoint is not None:
        if request.endpoint in LARGEST and "_user_id" in session:
            request.max_content_length = LARGEST[request.endpoint]
        if any("\0" in text for text in request.form.values()):
            abort(400)
        begin_write()


def _signed_in(session_id: str) -> SignedIn | None:
    id, _, generation = session_id.partition("-")
    row = account(int(id)) if id.isdigit() else None
    is_current = row is not None and row.is_active and str(row.generation) == generation
    return SignedIn(row) if row is not None and is_current else None
