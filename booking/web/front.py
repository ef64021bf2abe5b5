"""What belongs to no municipality or to its bare address: the list of towns, the way to the right language, health."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, g, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from booking.db import db
from booking.outbox.queue import depth
from booking.townhall.models import Municipality
from booking.web.language import preferred
from booking.web.pages import now

front = Blueprint("front", __name__)

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
    return render_template("towns.html", towns=towns)


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
