"""How days, times and amounts are said in each language. No date is formatted anywhere else."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

import phonenumbers
from babel import Locale
from babel.dates import format_date, format_time
from babel.numbers import format_currency

_LOCALES = {"en": "en_GB"}  # plain "en" writes American dates
_DAY = {"nl": "EEEE d MMMM", "fr": "EEEE d MMMM", "de": "EEEE, d. MMMM", "en": "EEEE d MMMM"}


def locale_of(language: str) -> str:
    """The locale behind one of our languages: "en" is en_GB."""
    return _LOCALES.get(language, language)


@lru_cache(maxsize=64)
def language_name(language: str) -> str:
    """The name of the language in itself: "Nederlands"."""
    name = Locale.parse(language).get_display_name(language) or language
    return name[:1].upper() + name[1:]


@lru_cache(maxsize=1024)
def country_name(code: str, language: str) -> str:
    """The name of a country by its two letters (ISO 3166-1): "België"."""
    name: str = Locale.parse(language).territories[code]
    return name


@lru_cache(maxsize=4096)
def day(on: date, language: str, today: date | None = None) -> str:
    """ "donderdag 3 december", with the year where it is not the year of `today`."""
    pattern = _DAY.get(language, "EEEE d MMMM")
    if today is None or on.year != today.year:
        pattern += " y"
    return format_date(on, _with_first(pattern, on, language), locale=locale_of(language))


@lru_cache(maxsize=4096)
def short_day(on: date, language: str) -> str:
    """ "do 3 dec"."""
    pattern = "EEE d. MMM" if language == "de" else "EEE d MMM"
    return format_date(on, _with_first(pattern, on, language), locale=locale_of(language))


def _with_first(pattern: str, on: date, language: str) -> str:
    """In French the first of the month is "1er", and only the first."""
    return pattern.replace("d ", "d'er' ", 1) if language == "fr" and on.day == 1 else pattern


@lru_cache(maxsize=16384)
def clock_time(moment: datetime, zone: str, language: str) -> str:
    """ "10:20"; in the hour that the clock repeats in autumn with the name of the zone, so that it says which."""
    local = moment.astimezone(ZoneInfo(zone))
    text = format_time(local, "HH:mm", locale=locale_of(language))
    is_ambiguous = local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset()
    still_exists = local.replace(fold=1 - local.fold).astimezone(ZoneInfo("UTC")) != moment
    return f"{text} ({local.tzname()})" if is_ambiguous and still_exists else text


def moment(at: datetime, zone: str, language: str, today: date | None = None) -> str:
    """ "donderdag 3 december, 10:20"."""
    local = at.astimezone(ZoneInfo(zone))
    return f"{day(local.date(), language, today)}, {clock_time(at, zone, language)}"


def stretch(ends: tuple[datetime, datetime], zone: str, language: str, today: date | None = None) -> str:
    """ "donderdag 3 december, 10:20–12:00"; of whole days the first and the last, of other days both moments."""
    first, last = (at.astimezone(ZoneInfo(zone)) for at in ends)
    if first.time() == last.time() == time.min:
        last_day = last.date() - timedelta(days=1)
        days = [day(on, language, today) for on in (first.date(), last_day)]
        return days[0] if first.date() == last_day else " – ".join(days)
    if first.date() == last.date():
        return f"{moment(first, zone, language, today)}–{clock_time(last, zone, language)}"
    return f"{moment(first, zone, language, today)} – {moment(last, zone, language, today)}"


def start(at: datetime, zone: str, language: str, today: date | None = None) -> str:
    """ "10:20, donderdag 3 december": for who hears many times of the same days one after the other."""
    local = at.astimezone(ZoneInfo(zone))
    return f"{clock_time(at, zone, language)}, {day(local.date(), language, today)}"


def wall_clock(minutes: int) -> str:
    """Minutes after midnight as "09:00" (and 1440 as "24:00")."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


@lru_cache(maxsize=64)
def weekday(number: int, language: str) -> str:
    """0 is Monday: "maandag"."""
    return format_date(date(2024, 1, 1) + timedelta(days=number), "EEEE", locale=locale_of(language))


@lru_cache(maxsize=64)
def short_weekday(number: int, language: str) -> str:
    """0 is Monday: "ma"."""
    return format_date(date(2024, 1, 1) + timedelta(days=number), "EEEEEE", locale=locale_of(language))


@lru_cache(maxsize=256)
def month(on: date, language: str) -> str:
    """ "december 2026"."""
    return format_date(on, "LLLL y", locale=locale_of(language))


@lru_cache(maxsize=1024)
def euros(amount: Decimal, language: str) -> str:
    """ "€ 12,50", without cents where there are none."""
    locale = Locale.parse(locale_of(language))
    pattern = locale.currency_formats["standard"].pattern
    short = pattern if amount % 1 else pattern.replace(".00", "")
    return format_currency(amount, "EUR", short, locale=locale, currency_digits=False)


@lru_cache(maxsize=1024)
def phone(number: str) -> str:
    """ "+32 470 12 34 56", as people write it."""
    return phonenumbers.format_number(phonenumbers.parse(number), phonenumbers.PhoneNumberFormat.INTERNATIONAL)
