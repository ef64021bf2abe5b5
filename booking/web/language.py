"""The language of a page: in the address for citizens, of the account for staff."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

from babel import Locale
from babel.support import NullTranslations
from flask import Flask, abort, g, has_request_context, request
from flask_babel import Babel, Domain, get_locale, get_translations
from flask_login import current_user
from jinja2 import pass_eval_context
from jinja2.nodes import EvalContext
from markupsafe import Markup

from booking.config import LANGUAGES, ROOT
from booking.spoken import locale_of
from booking.townhall.models import Municipality
from booking.web.towns import town


class KeptBabel(Babel):  # type: ignore[misc]
    """Keeps the catalogues: read anew for each request, they took longer than the rest of the page."""

    @cached_property
    def domain_instance(self) -> Domain:
        return Domain(domain=self.domain)


def install(app: Flask) -> None:
    folder = str(ROOT / "booking" / "translations")
    KeptBabel(app, locale_selector=_locale, default_translation_directories=folder)
    app.jinja_env.globals.update(_=_text, gettext=_text, ngettext=_text_of_number)


def language() -> str:
    """The language of this request."""
    found: str | None = g.get("language")
    if found is None:
        found = g.language = _chosen(g.get("town"))
    return found


def _locale() -> str:
    return locale_of(language() if has_request_context() else "en")


@pass_eval_context
def _text(context: EvalContext, text: str, /, **values: object) -> str:
    """What `_` says in templates: as Jinja's own, but a page asks dozens of times, so each text is looked up once."""
    said = _said(get_locale(), text, bool(context.autoescape))
    return said % values if "%" in said else said


@pass_eval_context
def _text_of_number(context: EvalContext, one: str, many: str, num: int, /, **values: object) -> str:
    """What `ngettext` says in templates; `num` is one of the values."""
    said: str = _catalogue(get_locale()).ngettext(one, many, num)
    return (Markup(said) if context.autoescape else said) % {"num": num, **values}  # noqa: S704


@lru_cache(maxsize=8192)
def _said(locale: Locale | None, text: str, is_html: bool) -> str:
    said: str = _catalogue(locale).gettext(text)
    return Markup(said) if is_html else said  # noqa: S704


@lru_cache(maxsize=32)
def _catalogue(_locale: Locale | None) -> NullTranslations:
    """The texts of the present locale, which is this one."""
    found: NullTranslations = get_translations()
    return found


def pull_language(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Takes the language out of the address; one that the municipality has not switched on is not found."""
    g.language_in_path = (values or {}).pop("lang", None)


def check_language() -> None:
    """Before each citizen's request."""
    if g.language_in_path not in town().languages:
        g.language = town().language
        abort(404)
    g.language = g.language_in_path


def put_language(_endpoint: str, values: dict[str, Any]) -> None:
    """Links stay in the language of the page."""
    values.setdefault("lang", language())


def preferred(municipality: Municipality) -> str:
    """The language the browser asks for, if the municipality has it, else the municipality's own."""
    return _asked_for(municipality.languages) or municipality.language


def preferred_of_all() -> str:
    """The language the browser asks for, of all that Balie speaks."""
    return _asked_for(LANGUAGES) or "en"


def _chosen(municipality: Municipality | None) -> str:
    """For pages without a language in their route: of the account, of the address as typed, of the browser."""
    if municipality is None:
        return preferred_of_all()
    typed = request.path.split("/")[1]
    if typed in municipality.languages:
        return typed
    if current_user and current_user.is_authenticated:
        chosen: str = current_user.row.language
        return chosen
    return preferred(municipality)


def _asked_for(languages: Sequence[str]) -> str | None:
    """The first of the languages in the order of the browser's wishes; "fr-BE" asks for "fr"."""
    wishes = (wish.partition("-")[0].lower() for wish in request.accept_languages.values())
    return next((wish for wish in wishes if wish in languages), None)
