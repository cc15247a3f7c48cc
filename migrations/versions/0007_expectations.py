"""Add what is expected of a group: to the entries that say so, to the watch, and to the view latest_status.

Revision: 0007, after 0006.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import guards

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

Time = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")

_COLUMNS = (
    ("watches", "expected_runs", sa.BigInteger),
    ("watches", "expected_by", Time),
    ("watches", "earlier_sight_at", Time),
    ("entries", "expect_runs", sa.BigInteger),
    ("entries", "expect_by", Time),
)


def upgrade() -> None:
    for table, name, kind in _COLUMNS:
        op.add_column(table, sa.Column(name, kind))
    if op.get_context().dialect.name == "postgresql":
        # Adding columns at the end keeps grants, and views of others that depend on this one.
        op.execute(_latest_status("CREATE OR REPLACE", "::json", ", w.expected_runs, w.expected_by"))
    else:
        op.execute("DROP VIEW latest_status")
        op.execute(_latest_status("CREATE", "", ", w.expected_runs, w.expected_by"))


def downgrade() -> None:
    guards.lock_ledger()
    guards.refuse_entries("watch_action IN ('noted', 'expected')", "entries with notes and expectations")
    guards.refuse_dependent_views("latest_status")
    op.execute("DROP VIEW latest_status")
    for table, name, _ in _COLUMNS:
        guards.drop_column(table, name)
    json = "::json" if op.get_context().dialect.name == "postgresql" else ""
    op.execute(_latest_status("CREATE", json, ""))


def _latest_status(create: str, json: str, expected: str) -> str:
    return f"""{create} VIEW latest_status AS SELECT
        w.taskgroup_id, e.seq, e.at AS observed_at,
        coalesce(n.previous_last_seen_at, w.last_seen_at) AS last_seen_at,
        coalesce(n.previous_polls, w.polls) AS polls,
        e.phase, e.num_task_runs, e.queued, e.action_required, e.running, e.completed, e.failed,
        e.cancelling, e.cancelled, e.is_active, e.status_message, e.modified_at,
        e.metadata{json} AS metadata, e.created_at, e.anomalies{json} AS anomalies, e.digest,
        w.state, w.due_at{expected}
        FROM watches w
        LEFT JOIN entries e ON e.taskgroup_id = w.taskgroup_id AND e.seq = w.status_seq
        LEFT JOIN entries n ON n.taskgroup_id = w.taskgroup_id AND n.seq = w.status_seq + 1"""
