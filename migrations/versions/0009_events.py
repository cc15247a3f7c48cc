"""Create the tables of events, and say in the summaries since when a group stands still.

Revision: 0009, after 0008. There are no events about the past. The derived rows are rebuilt from the ledger
after the upgrade.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import guards

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

Time = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _create_events()
    op.create_table(
        "published_events",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("last_id", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO published_events (name, last_id) VALUES ('events', 0)")
    op.create_table(
        "upstream_state",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("failing_since", Time),
        sa.Column("down_since", Time),
        sa.Column("outages", sa.BigInteger, nullable=False),
        sa.Column("rejected_since", Time),
        sa.Column("rejections", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO upstream_state (name, outages, rejections) VALUES ('upstream', 0, 0)")
    op.add_column("summaries", sa.Column("standing_seq", sa.BigInteger))
    op.add_column("summaries", sa.Column("standing_since", Time))
    standing = sa.text("standing_since IS NOT NULL")
    op.create_index(
        *("ix_summaries_standing_since", "summaries", ["standing_since"]),
        sqlite_where=standing,
        postgresql_where=standing,
    )


def downgrade() -> None:
    tables = ("upstream_state", "published_events", "events")
    guards.lock_ledger()
    guards.refuse_dependent_views("summaries", *tables)
    for table in tables:
        op.drop_table(table)
    # The older program rebuilds what has no summary.
    if op.get_context().dialect.name == "postgresql":
        op.execute("DELETE FROM summaries")
        op.drop_index("ix_summaries_standing_since", "summaries")
        for column in ("standing_since", "standing_seq"):
            op.drop_column("summaries", column)
    else:
        # To drop a column, SQLite would compile all views, and refuse if a user's view is broken.
        op.drop_table("summaries")
        op.create_table(
            "summaries",
            sa.Column("taskgroup_id", Id, primary_key=True),
            sa.Column("seq", sa.BigInteger, nullable=False),
            sa.Column("rules", sa.Integer, nullable=False),
            sa.Column("created_at", Time),
            sa.Column("summary", sa.Text, nullable=False),
            sqlite_with_rowid=False,
        )


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("taskgroup_id", Id, primary_key=True),
        sa.Column("type", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("id", sa.BigInteger),
        sa.Column("at", Time, nullable=False),
        sa.Column("seq", sa.BigInteger),
        sa.Column("data", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_events_id", "events", ["id"], unique=True)
    op.create_index("ix_events_type_id", "events", ["type", "id"])
    unpublished = sa.text("id IS NULL")
    op.create_index(
        *("ix_events_unpublished", "events", ["taskgroup_id", "seq"]),
        sqlite_where=unpublished,
        postgresql_where=unpublished,
    )
