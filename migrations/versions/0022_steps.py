"""Derive milestones by new rules: more of them have an upper bound.

Revision: 0022, after 0020. No table changes. The derived rows are rebuilt from the ledger after the upgrade,
and an older program, which would derive them by its own rules, refuses the new revision.
"""

from __future__ import annotations

from alembic import op

from migrations import guards

revision = "0022"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    guards.lock_ledger()
    # The older program rebuilds what has no summary; archived groups keep theirs, as their entries are away.
    op.execute("DELETE FROM summaries WHERE taskgroup_id IN (SELECT taskgroup_id FROM watches)")
