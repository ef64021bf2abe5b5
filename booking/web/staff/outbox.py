"""The outbox in the browser: what waits and why, what was written to files, and each message to try out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from flask import abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from booking.appointments.models import Appointment
from booking.config import Settings
from booking.db import db
from booking.delivery.files import Letter, letter, letters
from booking.delivery.sample import sample_wording
from booking.delivery.segments import segments
from booking.delivery.wording import without_code
from booking.links import without_tokens
from booking.outbox.held import send_now, waiting
from booking.outbox.models import Kind, Message, MessageChannel, MessageState
from booking.outbox.providers import away
from booking.outbox.queue import Notice, day_lists, depth, queue_test
from booking.staff.audit import member, trace_once
from booking.staff.models import Role
from booking.web.guards import require
from booking.web.language import language
from booking.web.pages import now
from booking.web.staff import staff
from booking.web.towns import here, town

TRIED_FOR = timedelta(hours=1)


@staff.get("/outbox")
def outbox() -> ResponseReturnValue:
    """How much waits, whether worker and providers live, and the written messages, newest first."""
    require(Role.LEAD, None)
    return render_template(
        "staff/outbox.html",
        letters=[_listed(one) for one in letters(_settings().instance, town().slug)],
        queue=depth(now()),
        away=away(),
        waiting=waiting(town().id, now()),
        lost_lists=_lost_lists(),
        settings=_settings(),
    )


@staff.post("/outbox/send-now")
def outbox_send_now() -> ResponseReturnValue:
    """Lets the messages of a change go that wait for it to be undone."""
    require(Role.LEAD, None)
    count = send_now(town().id, request.form.get("change", ""), now())
    db.session.commit()
    return redirect(url_for("staff.outbox", sent=count), 303)


@staff.get("/outbox/<name>")
def outbox_letter(name: str) -> ResponseReturnValue:
    """One written message, without the secrets of its links; that it was read is written down."""
    account = require(Role.LEAD, None)
    found = letter(_settings().instance, town().slug, name) or abort(404)
    trace_once(member(account), "read_contact", _about(int(name.partition(".")[0])), now())
    return render_template("staff/letter.html", letter=_shown(found))


@staff.get("/outbox/preview")
def preview() -> ResponseReturnValue:
    """What a message of each kind says, in each language of the municipality."""
    require(Role.MANAGER, None)
    kind, tongue = _wanted(request.args.get("kind"), request.args.get("tongue"))
    words = sample_wording(town().id, kind, tongue, _settings(), now())
    parts = segments(words.short) if words else 0
    return render_template("staff/preview.html", kind=kind, tongue=tongue, kinds=list(Kind), words=words, parts=parts)


@staff.post("/outbox/preview")
def try_out() -> ResponseReturnValue:
    """Sends the message to the member of staff themselves, on the way that all messages go."""
    account = require(Role.MANAGER, None)
    kind, tongue = _wanted(request.form.get("kind"), request.form.get("tongue"))
    occasion = f"{tongue}-{now():%Y%m%dT%H%M%S}"
    notice = Notice(kind, occasion, MessageChannel.EMAIL, now(), now() + TRIED_FOR)
    queue_test(town().id, account.id, notice, now())
    db.session.commit()
    return redirect(url_for("staff.preview", kind=kind.value, tongue=tongue, sent=1), 303)


def _lost_lists() -> list[tuple[str, str]]:
    """The offices whose list of the day was refused, each with the reason."""
    failed = [one for one in day_lists(town().id) if one.state == MessageState.FAILED]
    return [
        (here().offices[one.subject_id].name(language()), one.reason or "")
        for one in failed
        if one.subject_id in here().offices
    ]


def _shown(written: Letter) -> Letter:
    return replace(written, subject=without_tokens(written.subject), text=without_code(without_tokens(written.text)))


def _listed(written: Letter) -> Letter:
    """With enough of the address to find it by: who opens the letter reads all of it, and that is written down."""
    name, at, domain = written.recipient.rpartition("@")
    return replace(_shown(written), recipient=f"{name[:1]}…@{domain}" if at else f"…{written.recipient[-2:]}")


def _about(id: int) -> tuple[str, int]:
    """Whom the message with this number is about; the message itself when it is tidied away, or for staff."""
    message = db.session.get(Message, id)
    about = message.subject_id if message and message.subject_kind == "appointment" else 0
    appointment = db.session.get(Appointment, about)
    return ("booking", appointment.booking_id) if appointment else ("message", id)


def _wanted(kind: str | None, tongue: str | None) -> tuple[Kind, str]:
    """The kind and the language that were asked for, else the first ones; 404 for nonsense."""
    if kind not in (None, *Kind) or tongue not in (None, *town().languages):
        abort(404)
    return Kind(kind or Kind.CONFIRMATION), tongue or town().language


def _settings() -> Settings:
    settings: Settings = current_app.extensions["balie"]["settings"]
    return settings
