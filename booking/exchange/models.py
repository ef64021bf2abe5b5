"""The table of files that somebody looks at before they are imported, or that put back what their import changed."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, LargeBinary, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from booking.db import Base, db, key
from booking.staff.models import Staff

KEPT_FOR = timedelta(days=1)


class Upload(Base):
    """A file as it was sent, kept from its dry run to its import, for who sent it; it may name staff."""

    __tablename__ = "upload"

    id: Mapped[int] = key()
    municipality_id: Mapped[int] = mapped_column(ForeignKey("municipality.id"), index=True)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id", ondelete="CASCADE"))
    made_at: Mapped[datetime]
    content: Mapped[bytes] = mapped_column(LargeBinary)
    is_way_back: Mapped[bool] = mapped_column(default=False)  # what an import changed, as it was before


def keep(staff: Staff, content: bytes, now: datetime) -> Upload:
    """Keeps the file for its sender, and lets go of the one before. Flushes."""
    db.session.execute(delete(Upload).where(Upload.staff_id == staff.id, Upload.is_way_back.is_(False)))
    return _kept(staff, content, now)


def keep_way_back(staff: Staff, content: bytes | None, now: datetime) -> None:
    """Keeps what puts back their last import, if there is anything, instead of what was for the one before. Flushes."""
    db.session.execute(delete(Upload).where(Upload.staff_id == staff.id, Upload.is_way_back))
    if content is not None:
        _kept(staff, content, now).is_way_back = True
        db.session.flush()


def way_back_of(staff: Staff, now: datetime) -> Upload | None:
    """What puts back what their last import changed."""
    mine = (Upload.staff_id == staff.id, Upload.is_way_back, Upload.made_at > now - KEPT_FOR)
    return db.session.scalar(select(Upload).where(*mine))


def _kept(staff: Staff, content: bytes, now: datetime) -> Upload:
    made = Upload(municipality_id=staff.municipality_id, staff_id=staff.id, made_at=now, content=content)
    db.session.add(made)
    db.session.flush()
    return made


def kept(staff: Staff, id: int) -> Upload | None:
    """The file that this member of staff sent; nobody else's."""
    return db.session.scalar(select(Upload).where(Upload.id == id, Upload.staff_id == staff.id))


def let_go(id: int) -> None:
    """Deletes a file that was imported."""
    db.session.execute(delete(Upload).where(Upload.id == id))


def forget_uploads(now: datetime) -> None:
    """Deletes what nobody imported within a day."""
    db.session.execute(delete(Upload).where(Upload.made_at <= now - KEPT_FOR))
