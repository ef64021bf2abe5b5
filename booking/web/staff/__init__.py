"""The staff's front door: signing in is public (`door`), all else is behind the guard (`staff`)."""

from flask import Blueprint

door = Blueprint("door", __name__)
staff = Blueprint("staff", __name__)

from . import (  # noqa: E402  (their routes)
    absence,  # noqa: F401
    account,  # noqa: F401
    afterwards,  # noqa: F401
    agenda,  # noqa: F401
    book,  # noqa: F401
    calls,  # noqa: F401
    cancel,  # noqa: F401
    daylist,  # noqa: F401
    devices,  # noqa: F401
    feeds,  # noqa: F401
    forgotten,  # noqa: F401
    outbox,  # noqa: F401
    provider,  # noqa: F401
    recount,  # noqa: F401
    search,  # noqa: F401
    sharing,  # noqa: F401
    sign_in,  # noqa: F401
    visits,  # noqa: F401
)
