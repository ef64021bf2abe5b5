"""The feeds that calendar clients subscribe to."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from booking.db import Base, key
from booking.townhall.models import Desk


class Feed(Base):
    """A desk's appointments for one subscriber. Its address is derived; raising `generation` revokes it (410)."""

    __tablename__ = "feed"

    id: Mapped[int] = key()
    municipality_id: Mapped[int] = mapped_column(ForeignKey("municipality.id"), index=True)
    desk_id: Mapped[int] = mapped_column(ForeignKey("desk.id"))
    name: Mapped[str] = mapped_column(String(120))
    generation: Mapped[int] = mapped_column(default=1)
    made_at: Mapped[datetime]
    fetched_at: Mapped[datetime | None]
    fetches: Mapped[int] = mapped_column(default=0)

    desk: Mapped[Desk] = relationship()
