"""Commands: flask --app wsgi …"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

import click
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext
from sqlalchemy import Select, select

from booking import links
from booking.appointments.findings import Counted
from booking.appointments.occupancy import SlotTaken
from booking.appointments.recount import Part, recount
from booking.db import begin_write, db
from booking.exchange.archive import archive
from booking.exchange.imports import Import
from booking.first import is_nothing_there
from booking.planning.impact import Meanwhile, Proposal, decision
from booking.planning.models import Choice
from booking.staff.accounts import holds
from booking.staff.audit import member, record, worker_of
from booking.staff.identity import provider_of
from booking.staff.models import EVERYWHERE, Role, Staff
from booking.townhall.catalogue import Row, import_catalogue
from booking.townhall.models import Municipality
from booking.townhall.sheets import SheetError

catalogue = AppGroup("catalogue", help="The catalogue of services.")
town_files = AppGroup("town", help="What a town has, as files.")


def install(app: Flask) -> None:
    app.cli.add_command(catalogue)
    app.cli.add_command(town_files)
    app.cli.add_command(recount_towns)
    app.cli.add_command(begin_address)
    app.cli.add_command(allow_passwords)


@catalogue.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--town", help="The short name of the municipality; needed when there are several.")
def import_file(file: Path, town: str | None) -> None:
    """Import the services of a CSV FILE: all of them, or none if a row is wrong."""
    begin_write()
    municipality = _municipality(town)
    try:
        now = current_app.extensions["balie"]["clock"]()
        outcome = import_catalogue(municipality, file.read_bytes(), now, _imported)
    except SheetError as error:
        db.session.rollback()
        _refuse(error.problems, file)
    db.session.commit()
    click.echo(f"{outcome.added} services added, {outcome.changed} changed, {outcome.unchanged} as they were.")


@town_files.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--as", "email", required=True, help="The e-mail address of the administrator in whose name it is done.")
@click.option("--dry-run", is_flag=True, help="Only show what the file would change.")
@click.option(
    "--hits", type=click.Choice([one.value for one in Choice]), help="What becomes of appointments that new hours hit."
)
@click.option("--town", help="The short name of the municipality; needed when there are several.")
def import_files(file: Path, email: str, dry_run: bool, hits: str | None, town: str | None) -> None:
    """Import a CSV FILE, or a ZIP with several: all of it, or nothing if a line is wrong."""
    begin_write()
    municipality = _municipality(town)
    actor = member(_administrator(municipality, email))
    now = current_app.extensions["balie"]["clock"]()
    content = file.read_bytes()
    try:
        found = Import(municipality, content, actor, now)
        _run_through(found, found.preview())
        db.session.rollback()
        if not dry_run:
            _import(found.proposals, Choice(hits) if hits else None, partial(Import, municipality, content, actor, now))
    except SheetError as error:
        db.session.rollback()
        _refuse(error.problems, file)
    for outcome in found.outcomes:
        counts = f"{outcome.added} new, {outcome.changed} changed, {outcome.unchanged} as they were"
        click.echo(f"{outcome.part.name}: {counts}.")
        for one in outcome.differences if dry_run else ():
            click.echo(f"  {one.name}: {'; '.join(one.changes) or 'new'}")
    if dry_run:
        click.echo(f"Nothing is imported. New hours would hit {len(found.proposals)} appointment(s).")


@town_files.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--town", help="The short name of the municipality; needed when there are several.")
def export_files(file: Path, town: str | None) -> None:
    """Write everything a town has, without the persons of appointments, as a ZIP of CSV files."""
    id = _municipality(town).id
    db.session.rollback()
    draft = file.with_name(f"{file.name}.part")
    with draft.open("wb") as out:
        out.writelines(archive(id))
    draft.replace(file)


def _import(proposals: Sequence[Proposal], hits: Choice | None, again: Callable[[], Import]) -> None:
    """Carries the import out, with the same choice for everybody whom new hours hit. Commits."""
    if proposals and hits is None:
        words = f"New hours would hit {len(proposals)} appointment(s)."
        raise click.UsageError(f"{words} Say with --hits what becomes of them, or decide one by one in the browser.")
    decisions = {one.appointment_id: decision(hits or Choice.KEEP, one.start) for one in proposals}
    begin_write()
    found = again()
    try:
        _run_through(found, found.carry_out(decisions))
    except (Meanwhile, SlotTaken) as error:
        raise click.ClickException("Meanwhile somebody booked, moved or cancelled. Try again.") from error
    db.session.commit()


def _run_through(found: Import, steps: Iterable[int]) -> None:
    """The import, with a line on the terminal that says how far it is."""
    with click.progressbar(
        length=found.lines, label="Importing", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as line:
        for _done in steps:
            line.update(1)


def _administrator(municipality: Municipality, email: str) -> Staff:
    query = select(Staff).where(Staff.municipality_id == municipality.id, Staff.email == email.strip().lower())
    row = db.session.scalar(query.where(Staff.is_active))
    if row is None or not holds(row, Role.ADMINISTRATOR, EVERYWHERE):
        raise click.UsageError(f"{email} is no administrator of {municipality.slug}.")
    return row


def _refuse(problems: Sequence[str], file: Path) -> NoReturn:
    click.echo("\n".join(problems), err=True)
    click.echo(f"Nothing was imported: {len(problems)} problem(s) in {file.name}.", err=True)
    sys.exit(1)


@click.command("begin")
@with_appcontext
def begin_address() -> None:
    """Print the secret address of the page that opens the first town hall, while there is none."""
    if not is_nothing_there():
        raise click.UsageError("There is a municipality already: sign in to change it.")
    settings = current_app.extensions["balie"]["settings"]
    click.echo(f"{settings.url}/begin/{links.token(settings.keys, 'begin', 0, 0)}")


@click.command("passwords")
@click.option("--town", help="The short name of the municipality; needed when there are several.")
@with_appcontext
def allow_passwords(town: str | None) -> None:
    """Let staff sign in with passwords again, when the town's own sign-in is away and was the only one."""
    begin_write()
    municipality = _municipality(town)
    provider = provider_of(municipality.id)
    if provider is None or provider.allows_passwords:
        raise click.UsageError(f"Passwords are allowed in {municipality.slug} already.")
    provider.allows_passwords = True
    now = current_app.extensions["balie"]["clock"]()
    record(worker_of(municipality.id), "allow_passwords", ("municipality", municipality.id), now)
    db.session.commit()
    click.echo(f"Staff of {municipality.slug} may sign in with passwords again.")


@click.command("recount")
@click.option("--town", help="The short name of a municipality; all of them without it.")
@with_appcontext
def recount_towns(town: str | None) -> None:
    """Count ticks against appointments, hours and closures again, and say what does not add up; 1 if anything."""
    if town is not None:
        _municipality(town)
    towns = [(one.id, one.slug) for one in db.session.scalars(_municipalities(town))]
    db.session.rollback()
    total = Counted()
    for id, slug in towns:
        counted = recount(id, current_app.extensions["balie"]["clock"](), _shown)
        for finding in counted.findings:
            click.echo(f"{slug}: {finding.named}. {finding.flaw.sentence}")
        total.add(counted)
    found = f"{len(total.findings)} found" if total.findings else "nothing found"
    click.echo(f"{total.appointments} appointments, {total.ticks} ticks counted: {found}.")
    sys.exit(1 if total.findings else 0)


def _imported(rows: Sequence[Row]) -> Iterator[Row]:
    """The rows of the file, with a line on the terminal that says how far it is."""
    with click.progressbar(rows, label="Importing", file=sys.stderr, hidden=not sys.stderr.isatty()) as line:
        yield from line


def _shown(parts: Sequence[Part]) -> Iterator[Part]:
    """The parts, with a line on the terminal that says how far it is."""
    with click.progressbar(parts, label="Counting", file=sys.stderr, hidden=not sys.stderr.isatty()) as line:
        yield from line


def _municipality(slug: str | None) -> Municipality:
    found = list(db.session.scalars(_municipalities(slug)))
    if len(found) != 1:
        known = ", ".join(db.session.scalars(select(Municipality.slug))) or "(none yet)"
        raise click.UsageError(f"Say which municipality with --town; there are: {known}.")
    return found[0]


def _municipalities(slug: str | None) -> Select[Municipality]:
    """All of them, or the one of this name."""
    query = select(Municipality).order_by(Municipality.id)
    return query if slug is None else query.where(Municipality.slug == slug)
