"""Which municipality a request is for: by host, else by the first part of the path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from flask import abort, g, request
from sqlalchemy import select

from booking.db import db
from booking.townhall.models import Municipality

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

OUR_OWN = frozenset({"", "static", "health", "favicon.ico", "robots.txt"})  # paths that belong to no municipality


class TownMiddleware:
    """Moves the municipality's part of the path into SCRIPT_NAME, so that routes, links and cookies stay inside it."""

    def __init__(self, app: WSGIApplication, hosts: Mapping[str, str]) -> None:
        self.app = app
        self.hosts = hosts

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "").rsplit(":", 1)[0].lower()
        slug = self.hosts.get(host)
        first, _, rest = environ.get("PATH_INFO", "").lstrip("/").partition("/")
        if slug is None and first not in OUR_OWN:
            slug = first
            environ["SCRIPT_NAME"] = f"{environ.get('SCRIPT_NAME', '')}/{first}"
            environ["PATH_INFO"] = f"/{rest}"
        environ["balie.town"] = slug
        return self.app(environ, start_response)


def load_town() -> None:
    """Before each request: g.town is the municipality of the address, or 404."""
    slug = request.environ.get("balie.town")
    g.town = None
    if slug is None:
        return
    g.town = db.session.scalar(select(Municipality).where(Municipality.slug == slug))
    if g.town is None:
        abort(404)


def town() -> Municipality:
    """The municipality of this request; 404 where the address names none."""
    if g.town is None:
        abort(404)
    found: Municipality = g.town
    return found
