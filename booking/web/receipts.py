"""Receipts for text messages: Twilio calls here when one was sent, delivered or failed, and signs its call."""

from __future__ import annotations

from flask import Blueprint, abort, current_app, request, url_for
from flask.typing import ResponseReturnValue

from booking.db import db
from booking.delivery.receipts import receive
from booking.delivery.sms import is_from_twilio, receipt
from booking.outbox.models import Message
from booking.web.pages import now, outside
from booking.web.towns import town

receipts = Blueprint("receipts", __name__)


@receipts.post("/<int:id>")
def receipt_of(id: int) -> ResponseReturnValue:
    """Takes a receipt in; 403 for one that Twilio did not sign for this very address."""
    account = current_app.extensions["balie"]["settings"].twilio or abort(404)
    address = outside(url_for("receipts.receipt_of", id=id))
    if not is_from_twilio(account, address, request.form, request.headers.get("X-Twilio-Signature", "")):
        abort(403)
    message = db.session.get(Message, id)
    if message is None or message.municipality_id != town().id:
        abort(404)
    said = receipt(request.form)
    if said is not None:
        receive(id, said, now())
    db.session.commit()
    return "", 204
