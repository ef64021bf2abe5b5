"""The edge: parse, call one operation, commit, answer."""

from __future__ import annotations

from flask import Flask
from sqlalchemy.exc import OperationalError
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import IntegerConverter, Map
from whitenoise import WhiteNoise

from booking.config import Settings
from booking.links import masked
from booking.web import language, pages, security
from booking.web.admin import admin
from booking.web.api import api
from booking.web.begin import begin
from booking.web.citizen import citizen
from booking.web.device import device, entry
from booking.web.feeds import database_away, feeds
from booking.web.front import front
from booking.web.guards import (
    come_in,
    everyone,
    managing_staff,
    register,
    signed_in_device,
    signed_in_staff,
)
from booking.web.receipts import receipts
from booking.web.staff import door, staff
from booking.web.towns import TownMiddleware

YEAR = 365 * 24 * 3600


class SmallInteger(IntegerConverter):
    """A number in an address that fits into a column."""

    def __init__(self, map: Map) -> None:
        super().__init__(map, max=2**53)


def install(app: Flask, settings: Settings) -> None:
    """Puts the web onto the application: in front the static files, then the municipality, then the routes."""
    app.url_map.converters["int"] = SmallInteger
    app.logger.addFilter(masked)
    security.install(app, settings)
    app.before_request(come_in)
    language.install(app)
    pages.install(app)
    register(app, front, everyone("the way in, and health in numbers only"))
    register(app, begin, everyone("the first start: its link is secret, and works while there is no town"))
    register(app, citizen, everyone("citizens need no account; what is theirs has a secret link"), "/<lang>")
    register(app, api, everyone("free times are for everybody, and name nobody"), "/api/v1")
    register(app, feeds, everyone("calendar programs bring a secret token in the address"))
    register(app, receipts, everyone("Twilio signs each call of this address"), "/receipts")
    app.extensions["csrf"].exempt(receipts)
    register(app, entry, everyone("a kiosk or screen brings a secret token in the address"), "/device")
    register(app, device, signed_in_device(), "/<lang>/device")
    register(app, door, everyone("who signs in is not signed in yet; tries are throttled"), "/staff")
    register(app, staff, signed_in_staff(), "/staff")
    register(app, admin, managing_staff(), "/staff/admin")
    app.register_error_handler(OperationalError, database_away)
    wsgi = security.GuardingHeaders(TownMiddleware(app.wsgi_app, settings.hosts))
    if settings.proxies:
        n = settings.proxies
        wsgi = ProxyFix(wsgi, x_for=n, x_proto=n, x_host=n)  # type: ignore[assignment]
    app.wsgi_app = WhiteNoise(wsgi, root=str(pages.STATIC), prefix="static/", max_age=YEAR)  # type: ignore[method-assign]
