"""Commands: flask --app wsgi …"""

from __future__ import annotations

import sys
from pathlib import Path

import click
from flask import Flask, current_app
from flask.cli import AppGroup
from sqlalchemy import select

from booking.db import begin_write, db
from booking.townhall.catalogue import CatalogueError, import_catalogue
from booking.townhall.models import Municipality

catalogue = AppGroup("catalogue", help="The catalogue of services.")


def install(app: Flask) -> None:
    app.cli.add_command(catalogue)


@catalogue.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--town", help="The short name of the municipality; needed when there are several.")
def import_file(file: Path, town: str | None) -> None:
    """Import the services of a CSV FILE: all of them, or none if a row is wrong."""
    begin_write()
    municipality = _municipality(town)
    try:
        outcome = import_catalogue(municipality, file.read_bytes(), current_app.extensions["balie"]["clock"]())
    except CatalogueError as error:
        db.session.rollback()
        click.echo("\n".join(error.problems), err=True)
        click.echo(f"Nothing was imported: {len(error.problems)} problem(s) in {file.name}.", err=True)
        sys.exit(1)
    db.session.commit()
    click.echo(f"{outcome.added} services added, {outcome.changed} changed, {outcome.unchanged} as they were.")


def _municipality(slug: str | None) -> Municipality:
    query = select(Municipality).order_by(Municipality.id)
    found = list(db.session.scalars(query if slug is None else query.where(Municipality.slug == slug)))
    if len(found) != 1:
        known = ", ".join(db.session.scalars(select(Municipality.slug))) or "(none yet)"
        raise click.UsageError(f"Say which municipality with --town; there are: {known}.")
    return found[0]
