"""The citizen's front door: find, choose a time, book, and one's own page."""

from flask import Blueprint

from booking.web.language import check_language, pull_language, put_language

citizen = Blueprint("citizen", __name__)
citizen.url_value_preprocessor(pull_language)
citizen.url_defaults(put_language)
citizen.before_request(check_language)

from . import before, book, find, own, own_visit, proposal, several  # noqa: E402, F401  (their routes)
