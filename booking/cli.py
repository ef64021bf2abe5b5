"""Commands: flask --app wsgi …"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext
from sqlalchemy import Select, select

from booking import links
from booking.appointments.findings import Counted
from booking.appointments.recount import Part, recount
from booking.db import begin_write, db
from booking.first import is_nothing_there
from booking.townhall.catalogue import Row, import_catalogue
from booking.townhall.models import Municipality
from booking.townhall.sheets import SheetError

catalogue = AppGroup("catalogue", help="The catalogue of services.")


def install(app: Flask) -> None:
    app.cli.add_command(catalogue)
    app.cli.add_command(recount_towns)
    app.cli.add_command(begin_address)


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
        click.echo("\n".join(error.problems), err=True)
        click.echo(f"Nothing was imported: {len(error.problems)} problem(s) in {file.name}.", err=True)
        sys.exit(1)
    db.session.commit()
    click.echo(f"{outcome.added} services added, {outcome.changed} changed, {outcome.unchanged} as they were.")


@click.command("begin")
@with_appcontext
def begin_address() -> None:
    """Print the secret address of the page that opens the first town hall, while there is none."""
    if not is_nothing_there():
        raise click.UsageError("There is a municipality already: sign in to change it.")
    settings = current_app.extensions["balie"]["settings"]
    click.echo(f"{settings.url}/begin/{links.token(settings.keys, 'begin', 0, 0)}")


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
