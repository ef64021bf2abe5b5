"""Which municipality a request is for: by host, else by the first part of the path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from flask import abort, g, request

from booking.townhall.models import Municipality
from booking.townhall.standing import Numbers, Standing, kept_standing, standing

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

OUR_OWN = frozenset(
    {"", "begin", "static", "health", "favicon.ico", "robots.txt"}
)  # paths that belong to no municipality


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


# What reads whether the municipality is still as it was together with the first row it needs.
LOOKS_ITSELF = frozenset({"citizen.confirm"})


def load_town(may_be_old: bool = False) -> None:
    """Before each request: g.standing is the municipality of the address with all it has, or 404.

    Once more after a refusal, when what the request had read is old. Where it may be old, nothing is read if it is in
    memory.
    """
    slug = request.environ.get("balie.town")
    g.town = g.standing = g.numbers = None
    if slug is None:
        return
    if "\0" in slug:
        abort(400)  # PostgreSQL stores no NUL, and nobody types one
    found = kept_standing(slug) if may_be_old else None
    if found is None:
        found, g.numbers = standing(slug) or abort(404)
    g.standing, g.town = found, found.municipality


def town() -> Municipality:
    """The municipality of this request; 404 where the address names none."""
    found: Municipality | None = g.town
    return found or abort(404)


def here() -> Standing:
    """The municipality with its services, offices and desks; 404 where the address names none."""
    found: Standing | None = g.standing
    return found or abort(404)


def seen_revisions() -> Mapping[int, int]:
    """The revisions of the offices as this request read them last."""
    if g.numbers is None:
        load_town()
    numbers: Numbers = g.numbers
    return numbers.revisions


def seen_activities() -> Mapping[int, int]:
    """The activities of all offices as this request read them."""
    numbers: Numbers = g.numbers
    return numbers.activities


def seen_activity(office_id: int) -> int:
    """The activity of the office as this request read it: what is read later is as new as this number, or newer."""
    numbers: Numbers = g.numbers
    return numbers.activities[office_id]
