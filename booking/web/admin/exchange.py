"""Import of files with a dry run that shows the differences and how far it is, and export of everything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask import (
    Response,
    abort,
    current_app,
    get_flashed_messages,
    render_template,
    request,
    stream_template,
    stream_with_context,
)
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy.orm import selectinload

from booking.appointments.occupancy import SlotTaken
from booking.db import begin_write, db
from booking.exchange.archive import archive
from booking.exchange.imports import PARTS, Import
from booking.exchange.models import KEPT_FOR, Upload, keep, keep_way_back, kept, let_go, way_back_of
from booking.planning.impact import Decision, Meanwhile
from booking.staff.audit import member, record
from booking.staff.models import Role, Staff
from booking.townhall.models import Municipality
from booking.townhall.sheets import SheetError
from booking.web.admin import admin
from booking.web.admin.changes import decisions_sent, hit_by
from booking.web.guards import require
from booking.web.pages import now, today
from booking.web.towns import town

STEP = 5  # percent between two signs of progress


@admin.get("/exchange")
def exchange() -> ResponseReturnValue:
    return _page(require(Role.ADMINISTRATOR, None))


@admin.post("/exchange/import")
def exchange_import() -> ResponseReturnValue:
    """Shows what the file would change, or with `import` changes it: all of it, or nothing, with every problem.

    The page is drawn while the import runs, so that it says how far it is. Who leaves it stops the import.
    """
    account = require(Role.ADMINISTRATOR, None)
    found = _sent(account)
    if found is None:
        return _page(
            account, [_("Choose the file once more: it has been imported, or was sent more than a day ago.")]
        ), 422
    id, content = found
    db.session.commit()
    begin_write()
    try:
        running = Running(Sent(account, id, content), decisions_sent() if "import" in request.form else None)
        is_overtaken = running.is_overtaken()
    except SheetError as error:
        db.session.rollback()
        return _page(account, error.problems), 422
    get_flashed_messages()  # read now: once the answer has begun, no cookie can say so any more
    drawn = stream_template("admin/importing.html", running=running)
    answer = Response(drawn, 409 if is_overtaken else 200, mimetype="text/html")
    answer.headers["X-Accel-Buffering"] = "no"
    return answer


def _sent(account: Staff) -> tuple[int, bytes] | None:
    """The file that came, which is kept now, or the one that was looked at before; and its id."""
    file, id = request.files.get("file"), request.form.get("upload", "")
    if file is not None and file.filename:
        row = keep(account, file.read(), now())
        return row.id, row.content
    before = kept(account, int(id)) if id.isascii() and id.isdigit() and len(id) < 16 else None
    return (before.id, before.content) if before is not None else None


@dataclass(frozen=True)
class Sent:
    """A file that somebody sent: who, and the id under which it is kept."""

    account: Staff
    upload: int
    content: bytes


class Running:
    """An import while its page is drawn. Without `decisions` it is a dry run."""

    def __init__(self, sent: Sent, decisions: Mapping[int, Decision] | None) -> None:
        self.sent, self.decisions = sent, decisions
        self._actor = member(sent.account)
        self.problems: list[str] = []
        self.is_broken = self.is_done = False
        self.decided: Mapping[int, Decision] | None = None  # what did not hold any more, and must be looked at again
        self.found = self._read()

    def _read(self) -> Import:
        whole = selectinload(Municipality.offices)
        row = db.session.get(Municipality, town().id, options=[whole]) or abort(404)
        return Import(row, self.sent.content, self._actor, now())

    def _begin_again(self) -> None:
        db.session.rollback()
        begin_write()
        self.found = self._read()

    def is_overtaken(self) -> bool:
        """Whether what was decided does not hold any more, found out while the answer can still say so."""
        if self.decisions is None:
            return False
        try:
            self.found.rehearse(self.decisions)
        except (Meanwhile, SlotTaken):
            self.decided, self.decisions = self.decisions, None
        self._begin_again()
        return self.decided is not None

    def percents(self) -> Iterator[int]:
        """Carries it out, and says from time to time how far it is. Commits, or leaves nothing behind."""
        try:
            if self.decisions is None:
                yield from self._steps(self.found.preview())
            else:
                yield from self._for_good(self.decisions)
        except SheetError as error:
            self.problems = error.problems
        except Exception:
            current_app.logger.exception("An import broke")
            self.is_broken = True
        finally:
            db.session.rollback()

    def _for_good(self, decisions: Mapping[int, Decision]) -> Iterator[int]:
        try:
            yield from self._steps(self.found.carry_out(decisions))
        except (Meanwhile, SlotTaken):
            self.decided = decisions
            self._begin_again()
            yield from self._steps(self.found.preview())
        else:
            let_go(self.sent.upload)
            keep_way_back(self.sent.account, self.found.way_back(), now())
            db.session.commit()
            self.is_done = True

    def _steps(self, steps: Iterator[int]) -> Iterator[int]:
        said = -STEP
        for done in steps:
            percent = 100 * done // self.found.lines
            if percent >= said + STEP or percent == 100 > said:
                said = percent
                yield percent

    @property
    def way_back(self) -> Upload | None:
        """The file that puts back what was changed."""
        return way_back_of(self.sent.account, now()) if self.is_done else None

    def hit(self) -> dict[str, Any]:
        """What the page shows of those whom new hours hit."""
        return hit_by(self.found.proposals, self.decided)


@admin.post("/exchange/export")
def export() -> ResponseReturnValue:
    """Everything as CSV files in one ZIP; who takes it is written down before.

    It is sent while it is read, all of it as it was when that began.
    """
    account = require(Role.ADMINISTRATOR, None)
    id, name = town().id, f"{town().slug}-{today()}.zip"
    record(member(account), "export", ("municipality", id), now())
    db.session.commit()
    answer = Response(stream_with_context(archive(id)), mimetype="application/zip")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _page(account: Staff, problems: list[str] | None = None) -> str:
    back = way_back_of(account, now())
    return render_template("admin/exchange.html", problems=problems or [], parts=PARTS, back=back, kept_for=KEPT_FOR)
