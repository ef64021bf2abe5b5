"""What templates may call: days and times in the page's language, addresses of files, and the pages for errors."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Generic, TypeVar
from zoneinfo import ZoneInfo

from flask import Flask, current_app, g, has_request_context, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from jinja2 import StrictUndefined
from markupsafe import Markup, escape
from werkzeug.exceptions import HTTPException

from booking import spoken
from booking.appointments.papers import to_bring
from booking.appointments.references import grouped
from booking.appointments.visits import is_late, state_of, waited
from booking.config import ROOT
from booking.db import db
from booking.delivery.wording import needed
from booking.links import town_address
from booking.slots.clock import moment_of, tick_of
from booking.staff.models import Role
from booking.townhall.directory import ACCESS
from booking.townhall.models import Office
from booking.web.guards import manages, may
from booking.web.language import language
from booking.web.towns import town

T = TypeVar("T")
MANY = 12  # so many offices are listed by name; of more, one chooses from a list

STATIC = ROOT / "static"


def install(app: Flask) -> None:
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.undefined = StrictUndefined  # a word that a page lacks is an error, not a gap
    app.jinja_env.filters.update(
        day=lambda on: spoken.day(on, language(), today()),
        month=lambda on: spoken.month(on, language()),
        short_weekday=lambda number: spoken.short_weekday(number, language()),
        short_day=lambda on: spoken.short_day(on, language()),
        tick=tick_of,
        clock=lambda at: spoken.clock_time(at, town().zone, language()),
        clock_buttons=_clock_buttons,
        moment=lambda at: spoken.moment(at, town().zone, language(), today()),
        stretch=lambda ends: spoken.stretch(ends, town().zone, language(), today()),
        local_day=lambda at: spoken.day(at.astimezone(ZoneInfo(town().zone)).date(), language(), today()),
        wall_clock=spoken.wall_clock,
        weekday=lambda number: spoken.weekday(number, language()),
        euros=_euros,
        phone=spoken.phone,
        grouped=grouped,
        language_name=spoken.language_name,
        local_date=lambda at: at.astimezone(ZoneInfo(town().zone)).date(),
        service_name=lambda service: service.text(language()).name,
    )
    app.jinja_env.globals.update(asset=asset, look=look, other_languages=other_languages, visit_state=state_of)
    app.jinja_env.globals.update(is_late=is_late, waited=waited, page_address=page_address, MANY=MANY)
    app.jinja_env.globals.update(boxes=boxes, office_options=office_options, options=options)
    app.jinja_env.globals.update(
        sees_outbox=_sees_outbox,
        sees_preview=_sees_preview,
        sees_administration=_sees_administration,
        access_words=ACCESS,
        needed=needed,
        to_bring=to_bring,
    )
    app.context_processor(_of_every_page)
    app.register_error_handler(CSRFError, _forged)
    app.register_error_handler(HTTPException, _refused)
    app.register_error_handler(500, _broken)


def _of_every_page() -> dict[str, Any]:
    """What each page knows; messages are rendered outside a request and bring their own words."""
    return {"town": g.get("town"), "language": language(), "now": now()} if has_request_context() else {}


def now() -> datetime:
    """The time of this request: one moment, however long it takes."""
    found: datetime | None = g.get("now")
    if found is None:
        found = g.now = current_app.extensions["balie"]["clock"]()
    return found


def today() -> date:
    """The local date of the municipality."""
    if "today" not in g:
        g.today = now().astimezone(ZoneInfo(town().zone)).date()
    found: date = g.today
    return found


def outside(path: str) -> str:
    """The address of one of our paths as the world sees it: from the settings, never from what a request claims."""
    settings = current_app.extensions["balie"]["settings"]
    inside = path.removeprefix(request.script_root)
    return f"{town_address(settings.url, settings.hosts, town().slug)}{inside}"


def asset(name: str) -> str:
    """The address of a static file; it changes with its content, so that browsers may keep it for ever."""
    return f"/static/{name}?v={_fingerprint(name)}"


def look() -> str:
    """The token file that makes the pages the municipality's own."""
    if g.get("town") and g.town.accent:
        return url_for("front.town_look", v=g.town.accent[1:])
    own = f"look/{g.town.slug}.css" if g.get("town") else ""
    return asset(own if own and (STATIC / own).is_file() else "look/balie.css")


def other_languages() -> list[tuple[str, str]]:
    """The other languages of the municipality, each with the address of this page in it."""
    posted = g.get("shown_as") if request.method == "POST" else None
    endpoint, args = posted or (request.endpoint, request.view_args or {})
    query = f"?{request.query_string.decode(errors='replace')}" if request.query_string else ""
    if endpoint is None or request.routing_exception is not None or not g.get("language_in_path"):
        endpoint, args, query = "citizen.home", {}, ""
    others = [one for one in town().languages if one != language()]
    return [(one, url_for(endpoint, **{**args, "lang": one}) + query) for one in others]


@dataclass(frozen=True)
class Paged(Generic[T]):
    """A page of many things: those on it, its number from 1, and how many pages there are."""

    items: Sequence[T]
    number: int
    count: int


def paged(things: Sequence[T], size: int) -> Paged[T]:
    """The page that the address asks for (?page=), or the nearest one there is."""
    asked = request.args.get("page", "1")
    count = max(1, -(-len(things) // size))
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else 1
    number = min(max(number, 1), count)
    return Paged(things[(number - 1) * size : number * size], number, count)


def page_address(number: int) -> str:
    """The address of another page of the same list."""
    asked: dict[str, Any] = {name: value for name, value in request.args.items() if name != "page"}
    return url_for(request.endpoint or "", **{**asked, **(request.view_args or {}), "page": number})


def office_options(offices: Iterable[Office], chosen: Office | None = None) -> Markup:
    """The offices as options of a list to choose from; there may be a hundred, so they are not made by the template."""
    spoken_in, chosen_id = language(), chosen.id if chosen is not None else None
    return options((office.id, office.name(spoken_in), office.id == chosen_id) for office in offices)


def options(rows: Iterable[tuple[object, str, bool]]) -> Markup:
    """Options: the value of each, what it says, and whether it is chosen. For names of offices, desks and services."""
    return Markup("".join([_option(*row) for row in rows]))  # noqa: S704


def boxes(name: str, choices: Iterable[tuple[object, str]], ticked: Collection[object]) -> Markup:
    """Boxes to tick, for as many things as a big city has."""
    return Markup("".join([_box(name, value, words, value in ticked) for value, words in choices]))  # noqa: S704


def failure(status: int, title: str, text: str) -> tuple[str, int]:
    """A page that says what went wrong and what to do."""
    return render_template("error.html", title=title, text=text), status


def _clock_buttons(ticks: Sequence[int], office_id: int) -> Markup:
    """A button for each free time of an office. A page has hundreds, so each is made once, and not by the template."""
    zone, chosen, year = town().zone, language(), today().year
    return Markup("".join([_clock_button(tick, office_id, zone, chosen, year) for tick in ticks]))  # noqa: S704


@lru_cache(maxsize=65536)
def _clock_button(tick: int, office_id: int, zone: str, language: str, year: int) -> str:
    """The button shows the time; who hears it alone hears the time first, and the date as well."""
    button = Markup('<button class="clock" type="submit" name="slot" value="{}.{}" aria-label="{}">{}</button>\n')
    at = moment_of(tick)
    said = spoken.start(at, zone, language, date(year, 1, 1))
    return button.format(office_id, tick, said, spoken.clock_time(at, zone, language))


@lru_cache(maxsize=8192, typed=True)
def _option(value: object, words: str, is_chosen: bool) -> str:
    """A big city has hundreds on a page, which say the same on each."""
    return f'<option value="{escape(value)}"{" selected" if is_chosen else ""}>{escape(words)}</option>'


@lru_cache(maxsize=1024, typed=True)
def _box(name: str, value: object, words: str, is_ticked: bool) -> str:
    id = f"{name}-{escape(value)}"
    return (
        f'<div class="kern-form-check"><input class="kern-form-check__checkbox" type="checkbox"'
        f' id="{id}" name="{name}" value="{escape(value)}"{" checked" if is_ticked else ""}>'
        f'<label class="kern-label" for="{id}">{escape(words)}</label></div>'
    )


@lru_cache(maxsize=256)
def _fingerprint(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def _sees_outbox() -> bool:
    return current_user.is_authenticated and may(current_user.row, Role.LEAD, None)


def _sees_administration() -> bool:
    return current_user.is_authenticated and manages(current_user.row)


def _sees_preview() -> bool:
    return current_user.is_authenticated and may(current_user.row, Role.MANAGER, None)


def _euros(amount: Decimal | None) -> str:
    return "" if amount is None else spoken.euros(amount, language())


def _forged(_error: CSRFError) -> ResponseReturnValue:
    text = _("This form was open for too long or was sent from elsewhere. Go back, reload the page and send it again.")
    return failure(400, _("This form is no longer valid"), text)


def _refused(error: HTTPException) -> ResponseReturnValue:
    db.session.rollback()
    if error.response is not None:
        return error.response
    words: dict[int | None, tuple[str, str]] = {
        403: (_("You may not do this"), _("Sign in first, or ask a colleague who may.")),
        404: (_("This page does not exist"), _not_found()),
        405: (_("This does not work from here"), _("Go back and use the buttons on the page.")),
        410: (_("This address is no longer valid"), _("Somebody revoked it. Ask for the new one.")),
        413: (_("That was too much text"), _("Go back and send less.")),
    }
    title, text = words.get(error.code, (_("That did not work"), _("Go back and try again.")))
    return failure(error.code or 500, title, text)


def _not_found() -> str:
    text: str = _("Check the address, or look for it from the front page.")
    if "/b/" in request.path:
        text = _("Check the address. A link to an appointment stops working when its data have been erased.")
    if request.path.startswith("/staff/"):
        text = _("Check the address, or ask a colleague whose account may see it.")
    return text


def _broken(_error: Any) -> ResponseReturnValue:
    db.session.rollback()
    text = _("It is our fault. Nothing you did was lost or done by half. Try again in a minute, or call us.")
    return failure(500, _("Something broke"), text)
