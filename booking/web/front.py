"""What belongs to no municipality or to its bare address: the list of towns, the way to the right language, health."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from flask import Blueprint, abort, current_app, g, jsonify, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from booking.db import db
from booking.links import town_address
from booking.outbox.queue import depth
from booking.townhall.look import style_sheet
from booking.townhall.models import Logo, Municipality, Service
from booking.townhall.search import index, ranking
from booking.townhall.standing import standing
from booking.web.language import preferred
from booking.web.pages import now
from booking.web.towns import town

front = Blueprint("front", __name__)

MOST_FOUND = 40
SILENT_AFTER = timedelta(minutes=2)  # the worker beats every few seconds


@front.get("/")
def start() -> ResponseReturnValue:
    """On a municipality's address, its front page in the language the browser asks for; else the towns."""
    if g.town is not None:
        asked = f"?{request.query_string.decode(errors='replace')}" if "service" in request.args else ""
        return redirect(url_for("citizen.home", lang=preferred(g.town)) + asked)
    towns = db.session.scalars(select(Municipality).order_by(Municipality.slug)).all()
    if len(towns) == 1:
        return redirect(f"/{towns[0].slug}/")
    query = request.args.get("q", "").strip()[:200]
    found = _services_of_all([one.slug for one in towns], query) if query else []
    addresses = {one.id: _address(one.slug) for one in towns}
    return render_template("towns.html", towns=towns, query=query, found=found, addresses=addresses)


def _services_of_all(slugs: Iterable[str], query: str) -> list[tuple[Municipality, Service]]:
    """What can be booked in any of the municipalities and answers the query, best first."""
    standings = [found[0] for slug in slugs if (found := standing(slug)) is not None]
    offered = {one.id: (each.municipality, one) for each in standings for one in each.services if each.offices_for(one)}
    ranked = ranking(index([service for _town, service in offered.values()]), query)
    return [offered[id] for id in ranked[:MOST_FOUND]]


def _address(slug: str) -> str:
    settings = current_app.extensions["balie"]["settings"]
    return town_address(settings.url, settings.hosts, slug)


@front.get("/look.css")
def town_look() -> ResponseReturnValue:
    """The municipality's colour as a style sheet."""
    answer = make_response(style_sheet(town().accent or abort(404)))
    answer.headers["Content-Type"] = "text/css; charset=utf-8"
    answer.headers["Cache-Control"] = "private, max-age=0, must-revalidate"
    answer.add_etag()
    return answer.make_conditional(request)


@front.get("/logo/<name>")
def logo(name: str) -> ResponseReturnValue:
    """The municipality's logo. Its address is named after its bytes, so browsers may keep it for ever."""
    known = town().logo
    if known is None or not known.is_shown or name != f"{known.fingerprint}.png":
        abort(404)
    kept = select(Logo.content).where(Logo.municipality_id == town().id, Logo.fingerprint == known.fingerprint)
    answer = make_response(db.session.scalar(kept) or abort(404))
    answer.headers["Content-Type"] = "image/png"
    answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    answer.set_etag(known.fingerprint)
    return answer.make_conditional(request)


@front.get("/health")
def health() -> ResponseReturnValue:
    """Whether the database answers and the worker lives: 200 or 503, in numbers and moments only."""
    queue = depth(now())
    last = max(queue.beats.values(), default=None)
    is_alive = last is not None and now() - last < SILENT_AFTER
    words = {
        "database": "ok",
        "worker": "ok" if is_alive else "silent",
        "worker_beat_at": last.isoformat() if last else None,
        "messages_due": queue.due,
        "oldest_due_at": queue.oldest_due_at.isoformat() if queue.oldest_due_at else None,
    }
    return jsonify(words), 200 if is_alive else 503
