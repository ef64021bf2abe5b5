"""The staff's front door: signing in is public (`door`), all else is behind the guard (`staff`)."""

from flask import Blueprint

door = Blueprint("door", __name__)
staff = Blueprint("staff", __name__)

from . import agenda, book, calls, feeds, outbox, recount, search, sign_in, visits  # noqa: E402, F401  (their routes)
