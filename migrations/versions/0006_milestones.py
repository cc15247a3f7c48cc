"""Create the derived table of milestones and the view group_milestones.

Revision: 0006, after 0005. The table starts empty: the derived rows are rebuilt from the ledger after the
upgrade, by the rules of this release for starts too. An older program refuses the new revision.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import guards

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

Time = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "milestones",
        sa.Column("taskgroup_id", Id, primary_key=True),
        sa.Column("episode", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("fraction", sa.Float, primary_key=True),
        sa.Column("runs", sa.BigInteger),
        sa.Column("at", Time),
        sa.Column("earliest", Time),
        sa.Column("latest", Time),
        sa.Column("basis", sa.Text),
        sa.Column("seconds", sa.Float),
        sa.Column("seconds_earliest", sa.Float),
        sa.Column("seconds_latest", sa.Float),
        sqlite_with_rowid=False,
    )
    op.execute(
        """CREATE VIEW group_milestones AS
        SELECT m.taskgroup_id, m.episode, m.fraction, m.runs, m.at, m.earliest, m.latest, m.basis,
        m.seconds, m.seconds_earliest, m.seconds_latest
        FROM milestones m"""
    )


def downgrade() -> None:
    guards.lock_ledger()
    guards.refuse_dependent_views("group_milestones", "milestones")
    op.execute("DROP VIEW group_milestones")
    op.drop_table("milestones")
    # The older program rebuilds what has no summary.
    op.execute("DELETE FROM summaries")
