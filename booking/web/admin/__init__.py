"""The pages on which a manager runs the town hall: what it is, what it offers, when it is open, who works there."""

from flask import Blueprint

admin = Blueprint("admin", __name__)

from . import (  # noqa: E402  (their routes)
    changes,  # noqa: F401
    closures,  # noqa: F401
    desks,  # noqa: F401
    exchange,  # noqa: F401
    frame,  # noqa: F401
    hours,  # noqa: F401
    logo,  # noqa: F401
    offices,  # noqa: F401
    questions,  # noqa: F401
    removal,  # noqa: F401
    services,  # noqa: F401
    sign_in,  # noqa: F401
    staff,  # noqa: F401
    town,  # noqa: F401
    undo,  # noqa: F401
    why,  # noqa: F401
)
