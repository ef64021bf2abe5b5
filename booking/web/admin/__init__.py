"""The pages on which a manager runs the town hall: what it is, what it offers, when it is open, who works there."""

from flask import Blueprint

admin = Blueprint("admin", __name__)

from . import changes, closures, desks, frame, hours, offices, questions, removal, services, town, why  # noqa: E402, F401  (their routes)
