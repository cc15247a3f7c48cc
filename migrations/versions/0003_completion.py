"""Create the derived tables of episodes, labels and summaries, and the view group_completion.

Revision: 0003, after 0002. The tables start empty: their rows are rebuilt from the ledger after the upgrade.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import guards

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Time = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _create_episodes()
    op.create_table(
        "group_labels",
        sa.Column("taskgroup_id", Id, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("long_value", sa.Text),
        sqlite_with_rowid=False,
    )
    columns = ["key", "value", "taskgroup_id"]
    op.create_index("ix_group_labels_key_value_taskgroup_id", "group_labels", columns)
    _create_labelled_durations()
    op.create_table(
        "summaries",
        sa.Column("taskgroup_id", Id, primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("rules", sa.Integer, nullable=False),
        sa.Column("created_at", Time),
        sa.Column("summary", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute(_view(_POSTGRESQL if op.get_context().dialect.name == "postgresql" else _SQLITE))


def downgrade() -> None:
    tables = ("summaries", "labelled_durations", "group_labels", "episodes")
    guards.lock_ledger()
    guards.refuse_dependent_views("group_completion", *tables)
    op.execute("DROP VIEW group_completion")
    for table in tables:
        op.drop_table(table)


def _create_episodes() -> None:
    op.create_table(
        "episodes",
        sa.Column("taskgroup_id", Id, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("started_at", Time, nullable=False),
        sa.Column("started_earliest", Time),
        sa.Column("started_latest", Time, nullable=False),
        sa.Column("started_basis", sa.Text, nullable=False),
        sa.Column("completed_at", Time),
        sa.Column("completed_earliest", Time),
        sa.Column("completed_latest", Time),
        sa.Column("completed_basis", sa.Text),
        sa.Column("duration_seconds", sa.Float),
        sa.Column("duration_earliest_seconds", sa.Float),
        sa.Column("duration_latest_seconds", sa.Float),
        sa.Column("seen_seq", sa.BigInteger),
        sa.Column("seen_at", Time),
        sa.Column("first_sight", sa.Boolean, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("runs_total", sa.BigInteger),
        sa.Column("runs_completed", sa.BigInteger),
        sa.Column("runs_failed", sa.BigInteger),
        sa.Column("runs_cancelled", sa.BigInteger),
        sa.Column("gap_seconds", sa.Float, nullable=False),
        sa.Column("polls", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    # A covering index for the statistics over all episodes.
    spans = ["duration_seconds", "duration_earliest_seconds", "duration_latest_seconds"]
    columns = ["started_at", "first_sight", "completed_latest", *spans, "completed_at"]
    op.create_index("ix_episodes_durations", "episodes", columns)
    is_open = sa.text("completed_at IS NULL")
    op.create_index(
        "ix_episodes_open", "episodes", ["taskgroup_id"], sqlite_where=is_open, postgresql_where=is_open
    )


def _create_labelled_durations() -> None:
    op.create_table(
        "labelled_durations",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("taskgroup_id", Id, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("started_at", Time, nullable=False),
        sa.Column("first_sight", sa.Boolean, nullable=False),
        sa.Column("duration_seconds", sa.Float, nullable=False),
        sa.Column("duration_earliest_seconds", sa.Float),
        sa.Column("duration_latest_seconds", sa.Float),
        sa.Column("completed_latest", Time, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_labelled_durations_taskgroup_id", "labelled_durations", ["taskgroup_id"])


# Microseconds are subtracted as integers, so that both databases return the same double.
_SQLITE = {
    "seconds": "max(0.0, ((strftime('%s', substr({1}, 1, 19)) - strftime('%s', substr({0}, 1, 19))) * 1000000"
    " + substr({1}, 21, 6) - substr({0}, 21, 6)) / 1000000.0)",
    "least": "min({0}, {1})",
}
_POSTGRESQL = {
    "seconds": "greatest(0.0, extract(epoch FROM {1} - {0}))::double precision",
    "least": "least({0}, {1})",
}


def _view(dialect: dict[str, str]) -> str:
    """While an episode is open, what changes without an entry comes from the watch."""
    longer_than = dialect["seconds"].format("o.started_at", "o.last_seen_at")
    at_least = dialect["seconds"].format("o.started_latest", "o.last_seen_at")
    return f"""CREATE VIEW group_completion AS
        WITH o AS (
            SELECT p.*, p.completed_at IS NULL AS censored,
            CASE WHEN w.head_seq = p.seen_seq THEN w.last_seen_at ELSE p.seen_at END AS last_seen_at,
            CASE WHEN w.head_kind = 'status' THEN w.polls ELSE 0 END AS held_polls
            FROM episodes p LEFT JOIN watches w ON w.taskgroup_id = p.taskgroup_id
        )
        SELECT o.taskgroup_id, o.number AS episode, o.started_at, o.started_earliest, o.started_latest,
        o.completed_at, o.completed_earliest, o.completed_latest,
        CASE WHEN o.censored THEN {longer_than} ELSE o.duration_seconds END AS duration_seconds,
        CASE WHEN o.censored THEN {at_least} ELSE o.duration_earliest_seconds END
            AS duration_earliest_seconds,
        o.duration_latest_seconds, o.censored, o.first_sight, o.outcome,
        o.runs_total, o.runs_completed, o.runs_failed, o.runs_cancelled,
        CASE WHEN o.censored THEN {dialect["least"].format("o.gap_seconds", longer_than)}
            ELSE o.gap_seconds END AS gap_seconds,
        CASE WHEN o.censored THEN o.polls + o.held_polls ELSE o.polls END AS polls
        FROM o"""
