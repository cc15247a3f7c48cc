"""Derive completion by new rules: an older state after a newer one neither opens nor ends an episode.

Revision: 0004, after 0003. No table changes. The derived rows are rebuilt from the ledger after the upgrade,
and an older program, which would derive them by its own rules, refuses the new revision.
"""

from __future__ import annotations

from alembic import op

from migrations import guards

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    guards.lock_ledger()
    guards.refuse_entries("gap_cause = 'stale'", "gaps with the cause stale")
    # The older program rebuilds what has no summary.
    op.execute("DELETE FROM summaries")
