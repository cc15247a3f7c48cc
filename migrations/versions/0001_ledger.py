"""Create the ledger, the watches, the recorders and the first views.

Revision: 0001, the first.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import guards

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Time = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _create_watches()
    _create_entries()
    _create_recorders()
    postgresql = op.get_context().dialect.name == "postgresql"
    for statement in _POSTGRESQL_TRIGGERS if postgresql else _SQLITE_TRIGGERS:
        op.execute(statement)
    for statement in _views(_POSTGRESQL if postgresql else _SQLITE):
        op.execute(statement)


def downgrade() -> None:
    views = ("observation_gaps", "latest_status", "status_history")
    tables = ("recorders", "entries", "watches")
    guards.refuse_to_discard_entries()
    guards.refuse_dependent_views(*views, *tables)
    for view in views:
        op.execute(f"DROP VIEW {view}")
    for table in tables:
        op.drop_table(table)
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION entries_refuse_change()")


def _create_watches() -> None:
    op.create_table(
        "watches",
        sa.Column("taskgroup_id", Id, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("enrolled_at", Time, nullable=False),
        sa.Column("head_seq", sa.BigInteger, nullable=False),
        sa.Column("head_kind", sa.Text, nullable=False),
        sa.Column("head_at", Time, nullable=False),
        sa.Column("head_digest", sa.Text, nullable=False),
        sa.Column("due_at", Time),
        sa.Column("gap_at", Time),
        sa.Column("poll_due_at", Time),
        sa.Column("interval_seconds", sa.Float),
        sa.Column("next_poll_at", Time),
        sa.Column("owner", sa.Text),
        sa.Column("lease_until", Time),
        sa.Column("last_asked_at", Time),
        sa.Column("last_seen_at", Time),
        sa.Column("polls", sa.BigInteger),
        sa.Column("status_seq", sa.BigInteger),
        sa.Column("fingerprint", sa.Text),
        sa.Column("phase", sa.Text),
        sa.Column("finished", sa.BigInteger),
        sa.Column("modified_at", Time),
        sa.Column("quiet_since", Time),
        sa.Column("failures", sa.Text),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_watches_next_poll_at", "watches", ["next_poll_at"])
    op.create_index("ix_watches_enrolled_at_taskgroup_id", "watches", ["enrolled_at", "taskgroup_id"])


def _create_entries() -> None:
    counts = ("queued", "action_required", "running", "completed", "failed", "cancelling", "cancelled")
    op.create_table(
        "entries",
        sa.Column("taskgroup_id", Id, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at", Time, nullable=False),
        sa.Column("previous_last_asked_at", Time),
        sa.Column("previous_last_seen_at", Time),
        sa.Column("previous_polls", sa.BigInteger),
        sa.Column("phase", sa.Text),
        sa.Column("num_task_runs", sa.BigInteger),
        *(sa.Column(name, sa.BigInteger) for name in counts),
        sa.Column("is_active", sa.Boolean),
        sa.Column("status_message", sa.Text),
        sa.Column("modified_at", Time),
        sa.Column("metadata", sa.Text),
        sa.Column("created_at", Time),
        sa.Column("anomalies", sa.Text),
        sa.Column("extra", sa.Text),
        sa.Column("rules", sa.Integer),
        sa.Column("gap_from", Time),
        sa.Column("gap_cause", sa.Text),
        sa.Column("gap_attempts", sa.BigInteger),
        sa.Column("gap_unpolled_seconds", sa.Float),
        sa.Column("gap_http_status", sa.Integer),
        sa.Column("gap_detail", sa.Text),
        sa.Column("watch_action", sa.Text),
        sa.Column("watch_actor", sa.Text),
        sa.Column("watch_note", sa.Text),
        sa.Column("digest", sa.Text, nullable=False),
        sa.CheckConstraint("kind IN ('watch', 'status', 'gap')", name="ck_entries_kind"),
        sa.CheckConstraint("seq >= 1", name="ck_entries_seq"),
        sqlite_with_rowid=False,
    )


def _create_recorders() -> None:
    op.create_table(
        "recorders",
        sa.Column("recorder_id", sa.Text, primary_key=True),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started_at", Time, nullable=False),
        sa.Column("heartbeat_at", Time, nullable=False),
        sa.Column("counters", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )


# INSERT OR REPLACE deletes the existing row without firing the DELETE trigger: hence the one on INSERT.
_SQLITE_TRIGGERS = (
    """CREATE TRIGGER entries_refuse_update BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: no UPDATE of entries'); END""",
    """CREATE TRIGGER entries_refuse_delete BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: no DELETE from entries'); END""",
    """CREATE TRIGGER entries_refuse_replace BEFORE INSERT ON entries
    WHEN EXISTS (SELECT 1 FROM entries WHERE taskgroup_id = NEW.taskgroup_id AND seq = NEW.seq)
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: this entry stands already'); END""",
)

# ENABLE ALWAYS: session_replication_role = replica turns ordinary triggers off.
_POSTGRESQL_TRIGGERS = (
    """CREATE FUNCTION entries_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the ledger is append-only: no % of entries', TG_OP
            USING ERRCODE = 'restrict_violation';
    END $$""",
    """CREATE TRIGGER entries_refuse_change BEFORE UPDATE OR DELETE ON entries
    FOR EACH ROW EXECUTE FUNCTION entries_refuse_change()""",
    """CREATE TRIGGER entries_refuse_truncate BEFORE TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION entries_refuse_change()""",
    "ALTER TABLE entries ENABLE ALWAYS TRIGGER entries_refuse_change",
    "ALTER TABLE entries ENABLE ALWAYS TRIGGER entries_refuse_truncate",
)

# Microseconds are subtracted as integers, so that both databases return the same double. SQLite's own
# functions round to milliseconds, possibly into the next second: they get whole seconds only.
_SQLITE = {
    "json": "{0}",
    "seconds": "((strftime('%s', substr({1}, 1, 19)) - strftime('%s', substr({0}, 1, 19))) * 1000000"
    " + substr({1}, 21, 6) - substr({0}, 21, 6)) / 1000000.0",
}
_POSTGRESQL = {
    "json": "{0}::json",
    "seconds": "extract(epoch FROM {1} - {0})::double precision",
}


def _views(dialect: dict[str, str]) -> list[str]:
    columns = """
        e.taskgroup_id, e.seq, e.at AS observed_at,
        coalesce(n.previous_last_seen_at, w.last_seen_at) AS last_seen_at,
        coalesce(n.previous_polls, w.polls) AS polls,
        e.phase, e.num_task_runs, e.queued, e.action_required, e.running, e.completed, e.failed,
        e.cancelling, e.cancelled, e.is_active, e.status_message, e.modified_at,
        {metadata} AS metadata, e.created_at, {anomalies} AS anomalies, e.digest""".format(
        metadata=dialect["json"].format("e.metadata"), anomalies=dialect["json"].format("e.anomalies")
    )
    return [
        f"""CREATE VIEW status_history AS SELECT {columns}
        FROM entries e
        LEFT JOIN entries n ON n.taskgroup_id = e.taskgroup_id AND n.seq = e.seq + 1
        LEFT JOIN watches w ON w.taskgroup_id = e.taskgroup_id AND w.head_seq = e.seq
        WHERE e.kind = 'status'""",
        f"""CREATE VIEW latest_status AS SELECT {columns.replace("e.taskgroup_id", "w.taskgroup_id")},
        w.state, w.due_at
        FROM watches w
        LEFT JOIN entries e ON e.taskgroup_id = w.taskgroup_id AND e.seq = w.status_seq
        LEFT JOIN entries n ON n.taskgroup_id = w.taskgroup_id AND n.seq = w.status_seq + 1""",
        f"""CREATE VIEW observation_gaps AS SELECT
        e.taskgroup_id, e.seq, e.gap_from, e.at AS gap_to,
        {dialect["seconds"].format("e.gap_from", "e.at")} AS duration_seconds,
        e.gap_cause AS cause, e.gap_attempts AS attempts, e.gap_unpolled_seconds AS unpolled_seconds,
        e.gap_http_status AS http_status, e.gap_detail AS detail
        FROM entries e WHERE e.kind = 'gap'""",
    ]
