"""Give every column of the SQL views a type that clients can compare, and add the view group_metadata.

Revision: 0008, after 0007. On SQLite, expressions are cast; on PostgreSQL, json becomes jsonb. Labels get
three columns for the new view, filled when the derived rows are rebuilt from the ledger after the upgrade.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import guards

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

Sorted = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

_CHANGED = ("observation_gaps", "group_completion", "latest_status", "status_history")
_NAMES = ("name", "text", "type")
_COUNTS = ("queued", "action_required", "running", "completed", "failed", "cancelling", "cancelled")


def upgrade() -> None:
    if not op.get_context().as_sql:
        guards.refuse_dependent_views(*_CHANGED)
    for view in _CHANGED:
        op.execute(f"DROP VIEW {view}")
    for name in _NAMES:
        op.add_column("group_labels", sa.Column(name, sa.Text if name == "type" else Sorted))
    op.execute("DELETE FROM summaries")
    kinds = _POSTGRESQL if op.get_context().dialect.name == "postgresql" else _SQLITE
    for statement in _views(kinds):
        op.execute(statement)
    op.execute(_GROUP_METADATA)


def downgrade() -> None:
    guards.lock_ledger()
    guards.refuse_dependent_views(*_CHANGED, "group_metadata", "group_labels")
    for view in (*_CHANGED, "group_metadata"):
        op.execute(f"DROP VIEW {view}")
    # The older program rebuilds what has no summary.
    op.execute("DELETE FROM summaries")
    op.drop_table("group_labels")
    op.create_table(
        "group_labels",
        sa.Column("taskgroup_id", Sorted, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("long_value", sa.Text),
        sqlite_with_rowid=False,
    )
    columns = ["key", "value", "taskgroup_id"]
    op.create_index("ix_group_labels_key_value_taskgroup_id", "group_labels", columns)
    kinds = _OLD_POSTGRESQL if op.get_context().dialect.name == "postgresql" else _OLD_SQLITE
    for statement in _views(kinds):
        op.execute(statement)


_PLAIN = dict.fromkeys(("boolean", "integer", "real", "text", "json"), "{0}")

# Microseconds are subtracted as integers, so that both databases return the same double. SQLite's own
# functions round to milliseconds, possibly into the next second: they get whole seconds only.
_SQLITE_SECONDS = (
    "((strftime('%s', substr({1}, 1, 19)) - strftime('%s', substr({0}, 1, 19))) * 1000000"
    " + substr({1}, 21, 6) - substr({0}, 21, 6)) / 1000000.0"
)
_OLD_SQLITE = {
    **_PLAIN,
    "seconds": _SQLITE_SECONDS,
    "elapsed": f"max(0.0, {_SQLITE_SECONDS})",
    "least": "min({0}, {1})",
}
_OLD_POSTGRESQL = {
    **_PLAIN,
    "json": "{0}::json",
    "seconds": "extract(epoch FROM {1} - {0})::double precision",
    "elapsed": "greatest(0.0, extract(epoch FROM {1} - {0}))::double precision",
    "least": "least({0}, {1})",
}
_SQLITE = {
    **_OLD_SQLITE,
    "boolean": "CAST({0} AS INTEGER)",
    "integer": "CAST({0} AS INTEGER)",
    "real": "CAST({0} AS REAL)",
    "text": "CAST({0} AS TEXT)",
}
_POSTGRESQL = {**_OLD_POSTGRESQL, "json": "{0}::jsonb"}


def _views(kinds: dict[str, str]) -> list[str]:
    statuses = ", ".join(
        (
            "e.seq, e.at AS observed_at",
            kinds["text"].format("coalesce(n.previous_last_seen_at, w.last_seen_at)") + " AS last_seen_at",
            kinds["integer"].format("coalesce(n.previous_polls, w.polls)") + " AS polls",
            "e.phase, e.num_task_runs",
            *(f"e.{count}" for count in _COUNTS),
            "e.is_active, e.status_message, e.modified_at",
            kinds["json"].format("e.metadata") + " AS metadata",
            "e.created_at",
            kinds["json"].format("e.anomalies") + " AS anomalies",
            "e.digest",
        )
    )
    gap_seconds = kinds["real"].format(kinds["seconds"].format("e.gap_from", "e.at"))
    return [
        f"""CREATE VIEW status_history AS SELECT e.taskgroup_id, {statuses}
        FROM entries e
        LEFT JOIN entries n ON n.taskgroup_id = e.taskgroup_id AND n.seq = e.seq + 1
        LEFT JOIN watches w ON w.taskgroup_id = e.taskgroup_id AND w.head_seq = e.seq
        WHERE e.kind = 'status'""",
        f"""CREATE VIEW latest_status AS SELECT w.taskgroup_id, {statuses},
        w.state, w.due_at, w.expected_runs, w.expected_by
        FROM watches w
        LEFT JOIN entries e ON e.taskgroup_id = w.taskgroup_id AND e.seq = w.status_seq
        LEFT JOIN entries n ON n.taskgroup_id = w.taskgroup_id AND n.seq = w.status_seq + 1""",
        _group_completion(kinds),
        f"""CREATE VIEW observation_gaps AS SELECT
        e.taskgroup_id, e.seq, e.gap_from, e.at AS gap_to, {gap_seconds} AS duration_seconds,
        e.gap_cause AS cause, e.gap_attempts AS attempts, e.gap_unpolled_seconds AS unpolled_seconds,
        e.gap_http_status AS http_status, e.gap_detail AS detail
        FROM entries e WHERE e.kind = 'gap'""",
    ]


def _group_completion(kinds: dict[str, str]) -> str:
    """While an episode is open, what changes without an entry comes from the watch."""
    longer_than = kinds["elapsed"].format("o.started_at", "o.last_seen_at")
    at_least = kinds["elapsed"].format("o.started_latest", "o.last_seen_at")
    duration = f"CASE WHEN o.censored THEN {longer_than} ELSE o.duration_seconds END"
    earliest = f"CASE WHEN o.censored THEN {at_least} ELSE o.duration_earliest_seconds END"
    shared = kinds["least"].format("o.gap_seconds", longer_than)
    in_gaps = f"CASE WHEN o.censored THEN {shared} ELSE o.gap_seconds END"
    polls = "CASE WHEN o.censored THEN o.polls + o.held_polls ELSE o.polls END"
    return f"""CREATE VIEW group_completion AS
        WITH o AS (
            SELECT p.*, p.completed_at IS NULL AS censored,
            CASE WHEN w.head_seq = p.seen_seq THEN w.last_seen_at ELSE p.seen_at END AS last_seen_at,
            CASE WHEN w.head_kind = 'status' THEN w.polls ELSE 0 END AS held_polls
            FROM episodes p LEFT JOIN watches w ON w.taskgroup_id = p.taskgroup_id
        )
        SELECT o.taskgroup_id, o.number AS episode, o.started_at, o.started_earliest, o.started_latest,
        o.completed_at, o.completed_earliest, o.completed_latest,
        {kinds["real"].format(duration)} AS duration_seconds,
        {kinds["real"].format(earliest)} AS duration_earliest_seconds,
        o.duration_latest_seconds,
        {kinds["boolean"].format("o.censored")} AS censored,
        o.first_sight, o.outcome, o.runs_total, o.runs_completed, o.runs_failed, o.runs_cancelled,
        {kinds["real"].format(in_gaps)} AS gap_seconds,
        {kinds["integer"].format(polls)} AS polls
        FROM o"""


_GROUP_METADATA = """CREATE VIEW group_metadata AS
    SELECT l.taskgroup_id, l.name AS key, l.text AS value, l.type FROM group_labels l"""
