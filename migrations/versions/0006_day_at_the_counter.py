"""The day at the counter: the whole life of a visit, its steps, walk-ins with numbers, grace and shares of a desk

Revision: 0006, after 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STATES = ("expected", "arrived", "called", "serving", "parked", "served", "missed", "left", "cancelled")
MOMENTS = ("arrived_at", "called_at", "rung_at", "began_at", "served_at", "missed_at", "left_at")


def upgrade() -> None:
    grace = "CONSTRAINT ck_desk_grace_minutes CHECK (grace_minutes BETWEEN 0 AND 120)"
    op.execute(f"ALTER TABLE desk ADD COLUMN grace_minutes INTEGER DEFAULT 10 NOT NULL {grace}")
    op.add_column("desk", sa.Column("walk_in_percents", sa.JSON(), server_default="{}", nullable=False))
    _keep("id, desk_id, appointment_id, arrived_at, served_at, missed_at")
    op.create_table(
        "visit",
        sa.Column("id", key, nullable=False),
        sa.Column("office_id", key, nullable=False),
        sa.Column("desk_id", key, nullable=False),
        sa.Column("appointment_id", key, nullable=True),
        sa.Column("service_id", key, nullable=True),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(*STATES, name="state", native_enum=False, create_constraint=True, length=20),
            nullable=False,
        ),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("came_on", sa.Date(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("note", sa.String(length=500), nullable=True),
        sa.Column("counter_id", key, nullable=True),
        sa.Column("calls", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.DateTime(timezone=True), nullable=True) for name in MOMENTS),
        sa.CheckConstraint(
            "(state IN ('called', 'serving')) = (counter_id IS NOT NULL)", name=op.f("ck_visit_counter_while_called")
        ),
        sa.CheckConstraint(
            "appointment_id IS NULL OR service_id IS NULL", name=op.f("ck_visit_appointment_or_service")
        ),
        sa.CheckConstraint("people >= 1", name=op.f("ck_visit_people")),
        sa.ForeignKeyConstraint(["office_id"], ["office.id"], name="fk_visit_office_id"),
        sa.ForeignKeyConstraint(["desk_id"], ["desk.id"], name="fk_visit_desk_id"),
        sa.ForeignKeyConstraint(["appointment_id"], ["appointment.id"], name="fk_visit_appointment_id"),
        sa.ForeignKeyConstraint(["service_id"], ["service.id"], name="fk_visit_service_id"),
        sa.ForeignKeyConstraint(["counter_id"], ["counter.id"], name="fk_visit_counter_id"),
        sa.PrimaryKeyConstraint("id", name="pk_visit"),
        sa.UniqueConstraint("appointment_id", name="uq_visit_appointment_id"),
        sa.UniqueConstraint("counter_id", name="uq_visit_counter_id"),
        sa.UniqueConstraint("office_id", "came_on", "number", name="uq_visit_office_id_came_on_number"),
    )
    op.create_index("ix_visit_desk_id_came_on", "visit", ["desk_id", "came_on"], unique=False)
    state = "CASE WHEN served_at IS NOT NULL THEN 'served' WHEN missed_at IS NOT NULL THEN 'missed'"
    state += " WHEN arrived_at IS NOT NULL THEN 'arrived' ELSE 'expected' END"
    _bring_back(
        "id, office_id, desk_id, appointment_id, people, state, version, came_on, calls, arrived_at, served_at, missed_at",
        f"v.id, d.office_id, desk_id, appointment_id, 1, {state}, 1, DATE(arrived_at), 0, arrived_at, served_at, missed_at",
    )
    op.create_table(
        "visit_step",
        sa.Column("id", key, nullable=False),
        sa.Column("visit_id", key, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("step", sa.String(length=20), nullable=False),
        sa.Column("desk_id", key, nullable=False),
        sa.Column("counter_id", key, nullable=True),
        sa.Column("staff_id", key, nullable=True),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("is_undone", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name="fk_visit_step_visit_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["desk_id"], ["desk.id"], name="fk_visit_step_desk_id"),
        sa.ForeignKeyConstraint(["counter_id"], ["counter.id"], name="fk_visit_step_counter_id"),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name="fk_visit_step_staff_id"),
        sa.PrimaryKeyConstraint("id", name="pk_visit_step"),
    )
    op.create_index("ix_visit_step_visit_id", "visit_step", ["visit_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_visit_step_visit_id", "visit_step")
    op.drop_table("visit_step")
    op.drop_index("ix_visit_desk_id_came_on", "visit")
    _keep("id, desk_id, appointment_id, arrived_at, served_at, missed_at")
    op.create_table(
        "visit",
        sa.Column("id", key, nullable=False),
        sa.Column("desk_id", key, nullable=False),
        sa.Column("appointment_id", key, nullable=True),
        sa.Column("arrived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("served_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("missed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("served_at IS NULL OR missed_at IS NULL", name=op.f("ck_visit_served_or_missed")),
        sa.ForeignKeyConstraint(["appointment_id"], ["appointment.id"], name="fk_visit_appointment_id"),
        sa.ForeignKeyConstraint(["desk_id"], ["desk.id"], name="fk_visit_desk_id"),
        sa.PrimaryKeyConstraint("id", name="pk_visit"),
        sa.UniqueConstraint("appointment_id", name="uq_visit_appointment_id"),
    )
    names = "id, desk_id, appointment_id, arrived_at, served_at, missed_at"
    _bring_back(names, f"v.{names}")
    op.execute("ALTER TABLE desk DROP COLUMN walk_in_percents")
    op.execute("ALTER TABLE desk DROP COLUMN grace_minutes")


def _keep(columns: str) -> None:
    """Sets the rows aside: SQLite cannot add the new rules to a table that is there. No other table points at them."""
    op.execute(f"CREATE TABLE visit_kept AS SELECT {columns} FROM visit")  # noqa: S608 - our own names
    op.drop_table("visit")


def _bring_back(names: str, values: str) -> None:
    kept = f"SELECT {values} FROM visit_kept v JOIN desk d ON d.id = v.desk_id"  # noqa: S608 - our own names
    op.execute(f"INSERT INTO visit ({names}) {kept}")
    op.drop_table("visit_kept")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SELECT setval(pg_get_serial_sequence('visit', 'id'), COALESCE(MAX(id), 1)) FROM visit")
