"""All tables, imported once: whoever needs the whole schema (the app, migrations, tests) imports this."""

from booking.appointments import models as appointments
from booking.calendars import models as calendars
from booking.exchange import models as exchange
from booking.outbox import models as outbox
from booking.planning import models as planning
from booking.staff import models as staff
from booking.townhall import models as townhall

__all__ = ["appointments", "calendars", "exchange", "outbox", "planning", "staff", "townhall"]
