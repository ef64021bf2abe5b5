"""The demo town hall: Lindebeek, which does not exist, with its offices, desks, counters, hours, services and staff."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, insert, select

from booking.calendars.models import Feed
from booking.db import begin_write, db
from booking.demo.closures import HOLIDAY_LANGUAGES, close_for_training, close_on_holidays
from booking.demo.days import DAYS, book_days
from booking.links import Keys, pseudonym
from booking.staff.accounts import add, grant
from booking.staff.models import Place, Role
from booking.townhall.catalogue import import_catalogue
from booking.townhall.models import (
    Counter,
    CounterService,
    Desk,
    Municipality,
    Office,
    OpeningHours,
    Service,
    Way,
)
from booking.townhall.revisions import raise_town
from booking.townhall.spelling import words_in

SLUG = "lindebeek"
ZONE = ZoneInfo("Europe/Brussels")
CATALOGUE = Path(__file__).with_name("services.csv")

Texts = dict[str, str]
Week = tuple[str, ...]  # Monday first; a day is "09:00-12:00 13:00-16:00", or nothing


@dataclass(frozen=True)
class CounterPlan:
    number: int
    week: Week
    services: str  # the keys of the catalogue, with spaces between


@dataclass(frozen=True)
class DeskPlan:
    key: str
    names: Texts
    email: str
    step_minutes: int
    counters: Sequence[CounterPlan]


@dataclass(frozen=True)
class OfficePlan:
    names: Texts
    address: str
    directions: Texts
    desks: Sequence[DeskPlan]
    access: Sequence[str] = ()


@dataclass(frozen=True)
class Member:
    """Somebody on the staff; `desks` are the e-mail addresses of their desks, none means all."""

    name: str
    language: str
    role: Role
    desks: Sequence[str]
    words: str

    @property
    def email(self) -> str:
        return ".".join(words_in(self.name)) + "@lindebeek.example.org"


@dataclass(frozen=True)
class SignIn:
    """How to sign in at the demo town hall, and what the account may do, in words."""

    email: str
    password: str
    words: str


def said(nl: str, fr: str, de: str, en: str) -> Texts:
    """One text in the four languages."""
    return {"nl": nl, "fr": fr, "de": de, "en": en}


DOCUMENTS = (
    "eid_apply eid_collect eid_urgent kids_id_apply kids_id_collect kids_id_urgent passport_adult passport_minor"
    " passport_urgent passport_collect lost_id_report pin_reset travel_consent_minor"
)
CERTIFICATES = (
    "address_card_update pin_reset household_certificate residence_certificate nationality_certificate"
    " civil_record_copy criminal_record_595 criminal_record_596 signature_legalisation certified_copies"
    " life_certificate organ_donation"
)
DRIVING = (
    "driving_licence_provisional driving_licence_first driving_licence_renew driving_licence_foreign"
    " driving_licence_international"
)
MOVING = (
    "address_change address_card_update move_abroad resident_parking disability_parking companion_pass digital_help"
)
FOREIGNERS = "foreigner_card_apply foreign_first_registration guarantee_visitor"
LIFE = "birth_declaration death_declaration recognition_before_birth"
FAMILY = (
    "name_choice first_name_change gender_registration marriage_info marriage_declaration"
    " marriage_declaration_abroad marriage_ceremony cohabitation_declare cohabitation_end_mutual"
    " cohabitation_end_one nationality_info nationality_declaration last_wishes grave_concession"
)
VILLAGE_DOCUMENTS = (
    "eid_apply eid_collect kids_id_apply kids_id_collect passport_collect pin_reset address_card_update"
    " household_certificate residence_certificate"
)
VILLAGE_EVERYDAY = (
    "eid_apply eid_collect address_change pin_reset driving_licence_renew driving_licence_provisional"
    " civil_record_copy criminal_record_595 certified_copies"
)
SIMPLE_BUILDING = (
    "build_info build_pre_simple permit_notification public_inquiry property_information planning_extract"
    " house_number demolition tree_felling conformity_certificate renovation_grant public_space_use"
    " advertising_sign sewer_connection"
)
PERMIT_FILES = "permit_intake permit_status use_change works_signoff"
COMPLEX_BUILDING = (
    "build_pre_complex plan_archive heritage_advice subdivision building_regularisation classified_activity"
)
BUSINESS = (
    "business_register business_change business_close trade_extract trader_parking permit_collect_economy"
    " terrace_change occasional_drinks goods_display shop_hours filming_permit taxi_permit itinerant_trade"
    " market_stall drinks_licence"
)
STARTERS = (
    "starter_intake starter_route horeca_intake drinks_licence terrace_permit event_small event_large fireworks"
    " night_shop shop_subsidy vacant_premises market_stall business_register"
)

MORNING, SATURDAY = "09:00-12:00", "09:00-12:00"
EARLY, LATE = "09:00-12:00 13:00-16:00", "09:00-13:00 14:00-16:00"  # the two lunch shifts
EVENING, LATE_EVENING = "09:00-12:00 13:00-16:00 16:30-19:00", "09:00-13:00 14:00-17:00 17:30-19:00"
AFTERNOON, LONG_AFTERNOON = "09:00-12:00 13:30-16:00", "09:00-12:00 13:30-19:00"

CIVIL_SIX_DAYS: Week = (EARLY, AFTERNOON, EARLY, EVENING, MORNING, SATURDAY, "")
CIVIL_LUNCH: Week = (LATE, AFTERNOON, LATE, LATE_EVENING, MORNING, SATURDAY, "")
CIVIL_FIVE_DAYS: Week = (EARLY, MORNING, EARLY, EVENING, MORNING, "", "")
CIVIL_FAMILY: Week = (LATE, MORNING, LATE, LATE_EVENING, MORNING, SATURDAY, "")
BUILDING_WEEK: Week = (MORNING, AFTERNOON, AFTERNOON, LONG_AFTERNOON, MORNING, "", "")
FILES_WEEK: Week = (AFTERNOON, MORNING, AFTERNOON, LONG_AFTERNOON, MORNING, "", "")
ECONOMY_WEEK: Week = (MORNING, AFTERNOON, MORNING, LONG_AFTERNOON, MORNING, "", "")
VILLAGE: Week = ("", "13:30-16:00", "", "16:00-19:00", "", "", "")

CIVIL_NAMES = said("Burgerzaken", "État civil", "Bürgeramt", "Civil registry")
BUILDING_NAMES = said("Bouwen en wonen", "Urbanisme", "Bauen und Wohnen", "Building and housing")
ECONOMY_NAMES = said("Economie", "Économie", "Wirtschaft", "Economy and business")
CIVIL_EMAIL, VILLAGE_EMAIL = "burgerzaken@lindebeek.example.org", "wijnegoor@lindebeek.example.org"
BUILDING_EMAIL, ECONOMY_EMAIL = "bouwen@lindebeek.example.org", "economie@lindebeek.example.org"

CIVIL = (
    CounterPlan(1, CIVIL_SIX_DAYS, f"{DOCUMENTS} {CERTIFICATES}"),
    CounterPlan(2, CIVIL_SIX_DAYS, f"{DOCUMENTS} {DRIVING} {CERTIFICATES}"),
    CounterPlan(3, CIVIL_LUNCH, f"{DOCUMENTS} {DRIVING} {MOVING}"),
    CounterPlan(4, CIVIL_FIVE_DAYS, f"{FOREIGNERS} {MOVING} {CERTIFICATES} {LIFE}"),
    CounterPlan(5, CIVIL_FAMILY, f"{FAMILY} {LIFE}"),
)
VILLAGE_CIVIL = (CounterPlan(1, VILLAGE, VILLAGE_DOCUMENTS), CounterPlan(2, VILLAGE, VILLAGE_EVERYDAY))
BUILDING = (
    CounterPlan(6, BUILDING_WEEK, SIMPLE_BUILDING),
    CounterPlan(7, BUILDING_WEEK, f"{SIMPLE_BUILDING} {PERMIT_FILES}"),
    CounterPlan(8, FILES_WEEK, f"{PERMIT_FILES} {COMPLEX_BUILDING}"),
)
ECONOMY = (CounterPlan(9, ECONOMY_WEEK, BUSINESS), CounterPlan(10, ECONOMY_WEEK, STARTERS))

TOWN_HALL = OfficePlan(
    said("Stadhuis Lindebeek", "Hôtel de ville de Lindebeek", "Rathaus Lindebeek", "Lindebeek town hall"),
    "Lindeplein 1, 2899 Lindebeek",
    said(
        "Ingang zonder trappen links van de toren. De balies zijn op het gelijkvloers. De bussen stoppen op het plein.",
        "Entrée de plain-pied à gauche de la tour. Les guichets sont au rez-de-chaussée. Les bus s'arrêtent sur la"
        " place.",
        "Stufenloser Eingang links vom Turm. Die Schalter sind im Erdgeschoss. Die Busse halten am Platz.",
        "Step-free entrance to the left of the tower. The counters are on the ground floor. Buses stop on the square.",
    ),
    (
        DeskPlan("civil", CIVIL_NAMES, CIVIL_EMAIL, 10, CIVIL),
        DeskPlan("building", BUILDING_NAMES, BUILDING_EMAIL, 15, BUILDING),
        DeskPlan("economy", ECONOMY_NAMES, ECONOMY_EMAIL, 15, ECONOMY),
    ),
    ("step_free", "toilet", "loop", "seats"),
)
VILLAGE_HOUSE = OfficePlan(
    said("Dorpshuis Wijnegoor", "Maison de village de Wijnegoor", "Dorfhaus Wijnegoor", "Wijnegoor village house"),
    "Kerkstraat 12, 2899 Wijnegoor (Lindebeek)",
    said(
        "Naast de bibliotheek. Ingang zonder trappen aan de kant van de parking.",
        "À côté de la bibliothèque. Entrée de plain-pied du côté du parking.",
        "Neben der Bücherei. Stufenloser Eingang an der Seite des Parkplatzes.",
        "Next to the library. Step-free entrance on the side of the car park.",
    ),
    (DeskPlan("civil", CIVIL_NAMES, VILLAGE_EMAIL, 10, VILLAGE_CIVIL),),
    ("step_free", "parking"),
)
OFFICES = (TOWN_HALL, VILLAGE_HOUSE)

STAFF = (
    Member("Katrien Vandewalle", "nl", Role.ADMINISTRATOR, (), "administrator of the town hall"),
    Member("Bart Hermans", "nl", Role.LEAD, (CIVIL_EMAIL, VILLAGE_EMAIL), "lead of the civil registry"),
    Member("Fatima Azzouzi", "nl", Role.CLERK, (CIVIL_EMAIL,), "clerk at the civil registry"),
    Member("Céline Lambert", "fr", Role.CLERK, (CIVIL_EMAIL,), "clerk at the civil registry, in French"),
    Member("Joris Desmedt", "nl", Role.CLERK, (BUILDING_EMAIL,), "clerk at the building desk"),
    Member("Elif Kaya", "nl", Role.CLERK, (ECONOMY_EMAIL,), "clerk at the economy desk"),
    Member("Lotte Verbruggen", "nl", Role.CLERK, (VILLAGE_EMAIL,), "clerk at the village house"),
)


def demo_exists() -> bool:
    """Whether this database holds the demo town hall. Leaves the session alone, so that build_demo may follow."""
    with db.engine.connect() as connection:
        return connection.scalar(select(Municipality.id).where(Municipality.slug == SLUG)) is not None


def demo_sign_ins(keys: Keys) -> list[SignIn]:
    """The accounts of the demo town hall. The passwords follow from the first key and stand nowhere."""
    return [SignIn(member.email, _password(keys, member), member.words) for member in STAFF]


def build_demo(now: datetime, keys: Keys, report: Callable[[str], None] = lambda line: None) -> None:
    """Builds the demo town hall, tells `report` how far it is, and commits.

    In a database that holds a municipality already it changes nothing. Must come before the first read.
    """
    begin_write()
    if db.session.scalar(select(func.count()).select_from(Municipality)):
        db.session.rollback()
        report("Demo: this database holds a municipality already; nothing was built.")
        return
    today = now.astimezone(ZONE).date()
    town = _add_town()
    counters = [counter for plan in OFFICES for counter in _add_office(town, plan, now)]
    db.session.flush()
    report(f"Demo: town hall with {len(OFFICES)} offices and {len(counters)} counters")
    db.session.add(Way(one_id=town.offices[0].id, other_id=town.offices[1].id, minutes=20))
    _add_hours(counters, date(today.year - 1, 1, 1))
    added = import_catalogue(town, CATALOGUE.read_bytes(), now).added
    _share_out(counters)
    report(f"Demo: {added} services")
    close_on_holidays(town, today)
    close_for_training(town, today)
    _add_staff(town, keys)
    _add_feeds(town, now)
    report(f"Demo: {len(STAFF)} members of staff")
    count = book_days(town, now)
    report(f"Demo: {DAYS // 7} weeks of appointments, {count} in all")
    raise_town(town, now)
    db.session.commit()


def _add_town() -> Municipality:
    town = Municipality(
        slug=SLUG,
        names=dict.fromkeys(HOLIDAY_LANGUAGES, "Lindebeek"),
        zone=ZONE.key,
        languages=list(HOLIDAY_LANGUAGES),
        language="nl",
        phone="+3215000000",  # no number in Belgium begins with 0 after its zone
        email="info@lindebeek.example.org",
        hold_minutes=20,
        retention_days=7,
        reminders=[
            {"occasion": "day-before", "days": 1, "at": "18:00", "channels": ["email"]},
            {"occasion": "two-hours-before", "hours": 2, "channels": ["sms"]},
        ],
    )
    db.session.add(town)
    return town


def _add_office(town: Municipality, plan: OfficePlan, now: datetime) -> list[tuple[Counter, CounterPlan]]:
    """Adds the office with its desks and counters; each counter with what it shall do."""
    office = Office(
        municipality=town,
        position=len(town.offices) + 1,
        names=plan.names,
        address=plan.address,
        directions=plan.directions,
        access=list(plan.access),
        activity_at=now,
        walk_minutes=3,
    )
    for position, desk in enumerate(plan.desks, start=1):
        made = Desk(
            office=office,
            key=desk.key,
            position=position,
            names=desk.names,
            email=desk.email,
            step_minutes=desk.step_minutes,
            counters=[Counter(number=counter.number) for counter in desk.counters],
        )
        db.session.add(made)
    plans = [counter for desk in plan.desks for counter in desk.counters]
    return list(zip([c for desk in office.desks for c in desk.counters], plans, strict=True))


def _add_hours(counters: Sequence[tuple[Counter, CounterPlan]], from_on: date) -> None:
    rows = [
        {"counter_id": counter.id, "weekday": weekday, "opens": opens, "closes": closes, "from_on": from_on}
        for counter, plan in counters
        for weekday, text in enumerate(plan.week)
        for opens, closes in _stretches(text)
    ]
    db.session.execute(insert(OpeningHours), rows)


def _stretches(text: str) -> Iterator[tuple[int, int]]:
    """ "09:00-12:00 13:00-16:00" in minutes after midnight."""
    for stretch in text.split():
        opens, closes = (time.fromisoformat(clock) for clock in stretch.split("-"))
        yield opens.hour * 60 + opens.minute, closes.hour * 60 + closes.minute


def _share_out(counters: Sequence[tuple[Counter, CounterPlan]]) -> None:
    """Gives each counter its own services; the import gave it all of its desk."""
    ids = {key: id for id, key in db.session.execute(select(Service.id, Service.key))}
    rows = [
        {"counter_id": counter.id, "service_id": ids[key]}
        for counter, plan in counters
        for key in dict.fromkeys(plan.services.split())
    ]
    db.session.execute(delete(CounterService))
    db.session.execute(insert(CounterService), rows)


def _add_staff(town: Municipality, keys: Keys) -> None:
    desks = {desk.email: desk.id for office in town.offices for desk in office.desks}
    for member in STAFF:
        staff = add(town.id, member.email, member.name, member.language, _password(keys, member))
        for desk_id in map(desks.get, member.desks or [""]):  # a role at no desk holds at all of them
            grant(staff, member.role, Place(desk_id))


def _password(keys: Keys, member: Member) -> str:
    """Three groups of four characters: 48 bits that nobody knows who has not got the key."""
    text = pseudonym(keys[0], "demo password", member.email)
    return f"{text[:4]}-{text[4:8]}-{text[8:12]}"


def _add_feeds(town: Municipality, now: datetime) -> None:
    db.session.add_all(
        Feed(municipality_id=town.id, desk_id=desk.id, name=f"{desk.names['nl']}, {office.names['nl']}", made_at=now)
        for office in town.offices
        for desk in office.desks
    )
    db.session.flush()
