"""Create the tables of sinks and deliveries, and indexes of what is expected of groups.

Revision: 0011, after 0010.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import guards

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

Time = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

SHORT = "phase = 'settled' AND finished < expected_runs"
LATE = "expected_by IS NOT NULL AND (phase IS NULL OR phase <> 'settled' OR finished < expected_runs)"


def upgrade() -> None:
    op.create_table(
        "sinks",
        sa.Column("name", Id, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("listed", sa.Boolean, nullable=False),
        sa.Column("after_id", sa.BigInteger, nullable=False),
        sa.Column("first_seen_at", Time, nullable=False),
        sa.Column("disabled_at", Time),
        sa.Column("last_success_at", Time),
        sa.Column("last_error_at", Time),
        sa.Column("last_error", sa.Text),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "deliveries",
        sa.Column("sink", Id, primary_key=True),
        sa.Column("event_id", sa.BigInteger, primary_key=True),
        sa.Column("taskgroup_id", Id, nullable=False),
        sa.Column("queued_at", Time, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", Time, nullable=False),
        sa.Column("failed_at", Time),
        sqlite_with_rowid=False,
    )
    waiting = sa.text("failed_at IS NULL")
    for column in ("next_attempt_at", "taskgroup_id"):
        op.create_index(
            *(f"ix_deliveries_{column}", "deliveries", ["sink", column, "event_id"]),
            sqlite_where=waiting,
            postgresql_where=waiting,
        )
    op.create_table(
        "delivery_lease",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text),
        sa.Column("until", Time),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO delivery_lease (name) VALUES ('deliveries')")
    for name, column, condition in (
        ("ix_watches_short", "taskgroup_id", sa.text(SHORT)),
        ("ix_watches_expected_by", "expected_by", sa.text(LATE)),
    ):
        op.create_index(*(name, "watches", [column]), sqlite_where=condition, postgresql_where=condition)


def downgrade() -> None:
    tables = ("delivery_lease", "deliveries", "sinks")
    guards.lock_ledger()
    guards.refuse_dependent_views(*tables)
    for name in ("ix_watches_expected_by", "ix_watches_short"):
        op.drop_index(name, "watches")
    for table in tables:
        op.drop_table(table)
