"""First schema

Revision: 0001, after None
"""

import sqlalchemy as sa
from alembic import op


revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "attempt",
        sa.Column("id", key, nullable=False),
        sa.Column("subject", sa.String(length=32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_attempt"),
    )
    op.create_index("ix_attempt_subject_at", "attempt", ["subject", "at"], unique=False)

    op.create_table(
        "heartbeat",
        sa.Column("step", sa.String(length=40), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("step", name="pk_heartbeat"),
    )
    op.create_table(
        "municipality",
        sa.Column("id", key, nullable=False),
        sa.Column("slug", sa.String(length=40), nullable=False),
        sa.Column("names", sa.JSON(), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("languages", sa.JSON(), nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("phone", sa.String(length=40), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("hold_minutes", sa.Integer(), nullable=False),
        sa.Column("retention_days", sa.Integer(), nullable=False),
        sa.Column("reminders", sa.JSON(), nullable=False),
        sa.CheckConstraint("hold_minutes BETWEEN 5 AND 60", name=op.f("ck_municipality_hold_minutes")),
        sa.CheckConstraint("retention_days BETWEEN 0 AND 365", name=op.f("ck_municipality_retention_days")),
        sa.PrimaryKeyConstraint("id", name="pk_municipality"),
        sa.UniqueConstraint("slug", name="uq_municipality_slug"),
    )
    op.create_table(
        "booking",
        sa.Column("id", key, nullable=False),
        sa.Column("municipality_id", key, nullable=False),
        sa.Column("reference", sa.String(length=12), nullable=True),
        sa.Column("name", sa.String(length=120), nullable=True),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("phone", sa.String(length=20), nullable=True),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column(
            "channel",
            sa.Enum(
                "web",
                "phone",
                "counter",
                "kiosk",
                "partner",
                "api",
                name="channel",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_free_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("forgotten_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(forgotten_at IS NULL) = (name IS NOT NULL)", name=op.f("ck_booking_named_until_forgotten")
        ),
        sa.CheckConstraint(
            "(forgotten_at IS NULL) = (reference IS NOT NULL)", name=op.f("ck_booking_reference_until_forgotten")
        ),
        sa.CheckConstraint(
            "forgotten_at IS NULL OR (email IS NULL AND phone IS NULL)",
            name=op.f("ck_booking_no_contact_when_forgotten"),
        ),
        sa.ForeignKeyConstraint(["municipality_id"], ["municipality.id"], name="fk_booking_municipality_id"),
        sa.PrimaryKeyConstraint("id", name="pk_booking"),
        sa.UniqueConstraint("municipality_id", "reference", name="uq_booking_municipality_id_reference"),
    )
    op.create_table(
        "message",
        sa.Column("id", key, nullable=False),
        sa.Column("municipality_id", key, nullable=False),
        sa.Column("subject_kind", sa.String(length=20), nullable=False),
        sa.Column("subject_id", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "confirmation",
                "reminder",
                "move",
                "cancellation",
                name="kind",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("occasion", sa.String(length=40), nullable=False),
        sa.Column(
            "channel",
            sa.Enum("email", "sms", name="channel", native_enum=False, create_constraint=True, length=20),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "sending",
                "sent",
                "failed",
                "dropped",
                "expired",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("provider_id", sa.String(length=80), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "(state = 'sending') = (claimed_at IS NOT NULL)", name=op.f("ck_message_claimed_while_sending")
        ),
        sa.CheckConstraint("subject_kind IN ('appointment')", name=op.f("ck_message_subject_kind")),
        sa.ForeignKeyConstraint(["municipality_id"], ["municipality.id"], name="fk_message_municipality_id"),
        sa.PrimaryKeyConstraint("id", name="pk_message"),
        sa.UniqueConstraint(
            "subject_kind", "subject_id", "sequence", "kind", "occasion", "channel", name="uq_message_once"
        ),
    )
    op.create_index("ix_message_state_due_at", "message", ["state", "due_at"], unique=False)

    op.create_table(
        "office",
        sa.Column("id", key, nullable=False),
        sa.Column("municipality_id", key, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("names", sa.JSON(), nullable=False),
        sa.Column("address", sa.String(length=200), nullable=False),
        sa.Column("directions", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("activity", sa.Integer(), nullable=False),
        sa.Column("activity_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["municipality_id"], ["municipality.id"], name="fk_office_municipality_id"),
        sa.PrimaryKeyConstraint("id", name="pk_office"),
    )
    op.create_index("ix_office_municipality_id", "office", ["municipality_id"], unique=False)

    op.create_table(
        "service",
        sa.Column("id", key, nullable=False),
        sa.Column("municipality_id", key, nullable=False),
        sa.Column("key", sa.String(length=60), nullable=False),
        sa.Column("desk_key", sa.String(length=40), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("extra_person_minutes", sa.Integer(), nullable=False),
        sa.Column("max_people", sa.Integer(), nullable=False),
        sa.Column("in_person", sa.String(length=10), nullable=False),
        sa.Column("walk_in", sa.String(length=10), nullable=False),
        sa.Column("online", sa.String(length=10), nullable=False),
        sa.Column("is_sensitive", sa.Boolean(), nullable=False),
        sa.Column("fee", sa.Numeric(precision=8, scale=2), nullable=True),
        sa.Column("min_notice_hours", sa.Integer(), nullable=False),
        sa.Column("max_days_ahead", sa.Integer(), nullable=False),
        sa.CheckConstraint("in_person IN ('yes', 'no')", name=op.f("ck_service_in_person")),
        sa.CheckConstraint("online IN ('yes', 'partly', 'no')", name=op.f("ck_service_online")),
        sa.CheckConstraint("walk_in IN ('yes', 'sometimes', 'no')", name=op.f("ck_service_walk_in")),
        sa.CheckConstraint(
            "extra_person_minutes >= 0 AND extra_person_minutes % 5 = 0", name=op.f("ck_service_extra_person_minutes")
        ),
        sa.CheckConstraint("max_days_ahead BETWEEN 1 AND 400", name=op.f("ck_service_max_days_ahead")),
        sa.CheckConstraint("max_people BETWEEN 1 AND 20", name=op.f("ck_service_max_people")),
        sa.CheckConstraint("min_notice_hours >= 0", name=op.f("ck_service_min_notice_hours")),
        sa.CheckConstraint("minutes BETWEEN 5 AND 480 AND minutes % 5 = 0", name=op.f("ck_service_minutes")),
        sa.ForeignKeyConstraint(["municipality_id"], ["municipality.id"], name="fk_service_municipality_id"),
        sa.PrimaryKeyConstraint("id", name="pk_service"),
        sa.UniqueConstraint("municipality_id", "key", name="uq_service_municipality_id_key"),
    )
    op.create_table(
        "staff",
        sa.Column("id", key, nullable=False),
        sa.Column("municipality_id", key, nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.CheckConstraint("email = lower(email)", name=op.f("ck_staff_email_lower")),
        sa.ForeignKeyConstraint(["municipality_id"], ["municipality.id"], name="fk_staff_municipality_id"),
        sa.PrimaryKeyConstraint("id", name="pk_staff"),
        sa.UniqueConstraint("municipality_id", "email", name="uq_staff_municipality_id_email"),
    )
    op.create_table(
        "audit_line",
        sa.Column("id", key, nullable=False),
        sa.Column("municipality_id", key, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=20), nullable=False),
        sa.Column("staff_id", key, nullable=True),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("object_kind", sa.String(length=40), nullable=False),
        sa.Column("object_id", sa.Integer(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["municipality_id"], ["municipality.id"], name="fk_audit_line_municipality_id"),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name="fk_audit_line_staff_id"),
        sa.PrimaryKeyConstraint("id", name="pk_audit_line"),
    )
    op.create_index("ix_audit_line_municipality_id", "audit_line", ["municipality_id"], unique=False)
    op.create_index("ix_audit_line_object", "audit_line", ["object_kind", "object_id"], unique=False)

    op.create_table(
        "desk",
        sa.Column("id", key, nullable=False),
        sa.Column("office_id", key, nullable=False),
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("names", sa.JSON(), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("step_minutes", sa.Integer(), nullable=False),
        sa.Column("buffer_minutes", sa.Integer(), nullable=False),
        sa.CheckConstraint("buffer_minutes >= 0 AND buffer_minutes % 5 = 0", name=op.f("ck_desk_buffer_minutes")),
        sa.CheckConstraint("step_minutes IN (5, 10, 15, 20, 30, 60)", name=op.f("ck_desk_step_minutes")),
        sa.ForeignKeyConstraint(["office_id"], ["office.id"], name="fk_desk_office_id"),
        sa.PrimaryKeyConstraint("id", name="pk_desk"),
        sa.UniqueConstraint("office_id", "key", name="uq_desk_office_id_key"),
    )
    op.create_table(
        "service_text",
        sa.Column("service_id", key, nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("name", sa.String(length=160), nullable=False),
        sa.Column("summary", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("bring", sa.JSON(), nullable=False),
        sa.Column("words", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["service_id"], ["service.id"], name="fk_service_text_service_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("service_id", "language", name="pk_service_text"),
    )
    op.create_table(
        "counter",
        sa.Column("id", key, nullable=False),
        sa.Column("desk_id", key, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["desk_id"], ["desk.id"], name="fk_counter_desk_id"),
        sa.PrimaryKeyConstraint("id", name="pk_counter"),
        sa.UniqueConstraint("desk_id", "number", name="uq_counter_desk_id_number"),
    )
    op.create_table(
        "feed",
        sa.Column("id", key, nullable=False),
        sa.Column("municipality_id", key, nullable=False),
        sa.Column("desk_id", key, nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fetches", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["desk_id"], ["desk.id"], name="fk_feed_desk_id"),
        sa.ForeignKeyConstraint(["municipality_id"], ["municipality.id"], name="fk_feed_municipality_id"),
        sa.PrimaryKeyConstraint("id", name="pk_feed"),
    )
    op.create_index("ix_feed_municipality_id", "feed", ["municipality_id"], unique=False)

    op.create_table(
        "staff_role",
        sa.Column("id", key, nullable=False),
        sa.Column("staff_id", key, nullable=False),
        sa.Column("desk_id", key, nullable=True),
        sa.Column(
            "role",
            sa.Enum(
                "clerk",
                "lead",
                "manager",
                "administrator",
                name="role",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["desk_id"], ["desk.id"], name="fk_staff_role_desk_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name="fk_staff_role_staff_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_staff_role"),
        sa.UniqueConstraint("staff_id", "desk_id", name="uq_staff_role_staff_id_desk_id"),
    )
    op.create_table(
        "appointment",
        sa.Column("id", key, nullable=False),
        sa.Column("booking_id", key, nullable=False),
        sa.Column("counter_id", key, nullable=False),
        sa.Column("uid", sa.String(length=120), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("booked", "cancelled", name="state", native_enum=False, create_constraint=True, length=20),
            nullable=False,
        ),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("sequence >= 0", name=op.f("ck_appointment_sequence")),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_appointment_starts_before_ends")),
        sa.ForeignKeyConstraint(["booking_id"], ["booking.id"], name="fk_appointment_booking_id"),
        sa.ForeignKeyConstraint(["counter_id"], ["counter.id"], name="fk_appointment_counter_id"),
        sa.PrimaryKeyConstraint("id", name="pk_appointment"),
        sa.UniqueConstraint("uid", name="uq_appointment_uid"),
    )
    op.create_index("ix_appointment_booking_id", "appointment", ["booking_id"], unique=False)
    op.create_index("ix_appointment_counter_id_starts_at", "appointment", ["counter_id", "starts_at"], unique=False)

    op.create_table(
        "closure",
        sa.Column("id", key, nullable=False),
        sa.Column("office_id", key, nullable=False),
        sa.Column("counter_id", key, nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_closure_starts_before_ends")),
        sa.ForeignKeyConstraint(["counter_id"], ["counter.id"], name="fk_closure_counter_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["office_id"], ["office.id"], name="fk_closure_office_id"),
        sa.PrimaryKeyConstraint("id", name="pk_closure"),
    )
    op.create_index("ix_closure_office_id", "closure", ["office_id"], unique=False)

    op.create_table(
        "counter_service",
        sa.Column("counter_id", key, nullable=False),
        sa.Column("service_id", key, nullable=False),
        sa.ForeignKeyConstraint(
            ["counter_id"], ["counter.id"], name="fk_counter_service_counter_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["service_id"], ["service.id"], name="fk_counter_service_service_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("counter_id", "service_id", name="pk_counter_service"),
    )
    op.create_index("ix_counter_service_service_id", "counter_service", ["service_id"], unique=False)

    op.create_table(
        "hold",
        sa.Column("id", key, nullable=False),
        sa.Column("counter_id", key, nullable=False),
        sa.Column("service_id", key, nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_free_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("booking_id", key, nullable=True),
        sa.CheckConstraint("people >= 1", name=op.f("ck_hold_people")),
        sa.ForeignKeyConstraint(["booking_id"], ["booking.id"], name="fk_hold_booking_id"),
        sa.ForeignKeyConstraint(["counter_id"], ["counter.id"], name="fk_hold_counter_id"),
        sa.ForeignKeyConstraint(["service_id"], ["service.id"], name="fk_hold_service_id"),
        sa.PrimaryKeyConstraint("id", name="pk_hold"),
    )
    op.create_table(
        "opening_hours",
        sa.Column("id", key, nullable=False),
        sa.Column("counter_id", key, nullable=False),
        sa.Column("weekday", sa.Integer(), nullable=False),
        sa.Column("opens", sa.Integer(), nullable=False),
        sa.Column("closes", sa.Integer(), nullable=False),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("until_on", sa.Date(), nullable=True),
        sa.CheckConstraint("opens % 5 = 0 AND closes % 5 = 0", name=op.f("ck_opening_hours_whole_ticks")),
        sa.CheckConstraint(
            "opens >= 0 AND opens < closes AND closes <= 1440", name=op.f("ck_opening_hours_opens_before_closes")
        ),
        sa.CheckConstraint("until_on IS NULL OR from_on <= until_on", name=op.f("ck_opening_hours_from_before_until")),
        sa.CheckConstraint("weekday BETWEEN 0 AND 6", name=op.f("ck_opening_hours_weekday")),
        sa.ForeignKeyConstraint(["counter_id"], ["counter.id"], name="fk_opening_hours_counter_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_opening_hours"),
    )
    op.create_index("ix_opening_hours_counter_id", "opening_hours", ["counter_id"], unique=False)

    op.create_table(
        "appointment_service",
        sa.Column("appointment_id", key, nullable=False),
        sa.Column("service_id", key, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.CheckConstraint("people >= 1", name=op.f("ck_appointment_service_people")),
        sa.ForeignKeyConstraint(["appointment_id"], ["appointment.id"], name="fk_appointment_service_appointment_id"),
        sa.ForeignKeyConstraint(["service_id"], ["service.id"], name="fk_appointment_service_service_id"),
        sa.PrimaryKeyConstraint("appointment_id", "service_id", name="pk_appointment_service"),
    )
    op.create_table(
        "occupancy",
        sa.Column("counter_id", key, nullable=False),
        sa.Column("tick", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("appointment_id", key, nullable=True),
        sa.Column("hold_id", key, nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(appointment_id IS NULL) = (expires_at IS NOT NULL)", name=op.f("ck_occupancy_booked_or_ends_by_itself")
        ),
        sa.CheckConstraint("appointment_id IS NULL OR hold_id IS NULL", name=op.f("ck_occupancy_one_taker")),
        sa.ForeignKeyConstraint(["appointment_id"], ["appointment.id"], name="fk_occupancy_appointment_id"),
        sa.ForeignKeyConstraint(["counter_id"], ["counter.id"], name="fk_occupancy_counter_id"),
        sa.ForeignKeyConstraint(["hold_id"], ["hold.id"], name="fk_occupancy_hold_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("counter_id", "tick", name="pk_occupancy"),
    )
    op.create_index("ix_occupancy_appointment_id", "occupancy", ["appointment_id"], unique=False)
    op.create_index("ix_occupancy_hold_id", "occupancy", ["hold_id"], unique=False)

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


def downgrade() -> None:
    op.drop_table("visit")
    op.drop_index("ix_occupancy_hold_id", "occupancy")
    op.drop_index("ix_occupancy_appointment_id", "occupancy")

    op.drop_table("occupancy")
    op.drop_table("appointment_service")
    op.drop_index("ix_opening_hours_counter_id", "opening_hours")

    op.drop_table("opening_hours")
    op.drop_table("hold")
    op.drop_index("ix_counter_service_service_id", "counter_service")

    op.drop_table("counter_service")
    op.drop_index("ix_closure_office_id", "closure")

    op.drop_table("closure")
    op.drop_index("ix_appointment_counter_id_starts_at", "appointment")
    op.drop_index("ix_appointment_booking_id", "appointment")

    op.drop_table("appointment")
    op.drop_table("staff_role")
    op.drop_index("ix_feed_municipality_id", "feed")

    op.drop_table("feed")
    op.drop_table("counter")
    op.drop_table("service_text")
    op.drop_table("desk")
    op.drop_index("ix_audit_line_object", "audit_line")
    op.drop_index("ix_audit_line_municipality_id", "audit_line")

    op.drop_table("audit_line")
    op.drop_table("staff")
    op.drop_table("service")
    op.drop_index("ix_office_municipality_id", "office")

    op.drop_table("office")
    op.drop_index("ix_message_state_due_at", "message")

    op.drop_table("message")
    op.drop_table("booking")
    op.drop_table("municipality")
    op.drop_table("heartbeat")
    op.drop_index("ix_attempt_subject_at", "attempt")

    op.drop_table("attempt")
