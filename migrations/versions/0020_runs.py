"""Create the tables of what the upstream claimed about single runs, and the view task_runs.

Revision: 0020, after 0015. Both are apart from the ledger.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import guards

revision = "0020"
down_revision = "0015"
branch_labels = None
depends_on = None

Time = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "run_snapshots",
        sa.Column("taskgroup_id", Id, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("asked_at", Time, nullable=False),
        sa.Column("taken_at", Time, nullable=False),
        sa.Column("runs", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run_claims",
        sa.Column("taskgroup_id", Id, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("run_id", Id, primary_key=True),
        sa.Column("processor", sa.Text),
        sa.Column("status", sa.Text),
        sa.Column("created_at", Time),
        sa.Column("modified_at", Time),
        sa.Column("said", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    postgresql = op.get_context().dialect.name == "postgresql"
    op.execute(_POSTGRESQL_TASK_RUNS if postgresql else _SQLITE_TASK_RUNS)


def downgrade() -> None:
    guards.lock_ledger()
    guards.refuse_rows("run_snapshots", "backfilled", "which is kept nowhere else")
    guards.refuse_dependent_views("task_runs", "run_claims", "run_snapshots")
    op.execute("DROP VIEW task_runs")
    for table in ("run_claims", "run_snapshots"):
        op.drop_table(table)


def _task_runs(seconds: str, real: str) -> str:
    finished = "r.status IN ('completed', 'failed', 'cancelled')"
    return f"""CREATE VIEW task_runs AS
        WITH r AS (
            SELECT
                c.*,
                s.taken_at,
                CASE WHEN c.created_at <= c.modified_at
                    THEN {seconds} END AS lasted
            FROM run_claims c
            JOIN run_snapshots s ON s.taskgroup_id = c.taskgroup_id AND s.seq = c.seq
            WHERE c.seq = (SELECT max(n.seq) FROM run_snapshots n WHERE n.taskgroup_id = c.taskgroup_id)
        )
        SELECT
            r.taskgroup_id,
            r.seq,
            r.taken_at,
            r.run_id,
            r.processor,
            r.status AS claimed_status,
            r.created_at AS claimed_created_at,
            r.modified_at AS claimed_modified_at,
            {real.format(f"CASE WHEN {finished} THEN r.lasted END")} AS claimed_duration_seconds,
            {real.format("CASE WHEN r.status = 'running' THEN r.lasted END")} AS claimed_wait_seconds
        FROM r"""


_SQLITE_WHOLE = "strftime('%s', substr(c.modified_at, 1, 19)) - strftime('%s', substr(c.created_at, 1, 19))"
_SQLITE_SECONDS = (
    f"(({_SQLITE_WHOLE}) * 1000000 + substr(c.modified_at, 21, 6) - substr(c.created_at, 21, 6)) / 1000000.0"
)
_SQLITE_TASK_RUNS = _task_runs(_SQLITE_SECONDS, "CAST({} AS REAL)")
_POSTGRESQL_TASK_RUNS = _task_runs("extract(epoch FROM c.modified_at - c.created_at)::double precision", "{}")
