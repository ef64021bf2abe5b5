"""The result of the nightly recount in the browser."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from zoneinfo import ZoneInfo

from flask import render_template
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from booking.appointments.findings import Finding, findings_of, last_run
from booking.db import db
from booking.staff.models import Role
from booking.townhall.models import Counter, Desk, Office
from booking.web.guards import require
from booking.web.pages import now
from booking.web.staff import staff
from booking.web.towns import town

LATE_AFTER = timedelta(days=2)  # it runs every night


@staff.get("/recount")
def recount() -> ResponseReturnValue:
    """When the recount last ran, what it counted, and what it found."""
    require(Role.LEAD, None)
    run = last_run(town().id)
    findings = findings_of(run) if run else []
    return render_template(
        "staff/recount.html",
        run=run,
        findings=findings,
        counters=_counters(findings),
        is_late=run is not None and now() - run.at > LATE_AFTER,
        zone=ZoneInfo(town().zone),
    )


def _counters(findings: Iterable[Finding]) -> dict[int, Counter]:
    """The counters of this municipality that are concerned, with their desks, by id."""
    ids = {finding.counter_id for finding in findings}
    query = select(Counter).join(Counter.desk).join(Desk.office)
    query = query.where(Counter.id.in_(ids), Office.municipality_id == town().id)
    return {counter.id: counter for counter in db.session.scalars(query.options(joinedload(Counter.desk)))}
