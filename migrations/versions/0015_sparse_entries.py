"""Index the gaps and the changes of watches among the entries: they are few, and looked for in many groups.

Revision: 0015, after 0013.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0013"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_entries_gaps", ["at", "gap_from", "taskgroup_id", "gap_cause"], "kind = 'gap'"),
    ("ix_entries_watch", ["taskgroup_id", "seq", "kind"], "kind = 'watch'"),
)


def upgrade() -> None:
    for name, columns, condition in INDEXES:
        where = sa.text(condition)
        op.create_index(name, "entries", columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for name, _, _ in INDEXES:
        op.drop_index(name, "entries")
