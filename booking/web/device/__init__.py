"""The waiting room: a kiosk to check in or take a number, and a screen that shows who is called. Without names."""

from flask import Blueprint

from booking.web.language import check_language, pull_language, put_language

entry = Blueprint("entry", __name__)
device = Blueprint("device", __name__)
device.url_value_preprocessor(pull_language)
device.url_defaults(put_language)
device.before_request(check_language)

from . import display, kiosk, sign_in  # noqa: E402, F401  (their routes)
