"""Leave room in the pages of `watches`, so that an update of a row mostly stays in its page.

Revision: 0005, after 0004. PostgreSQL only: there an update that changes no indexed column and stays in its
page writes no index (HOT), and what it leaves behind is cleaned up without a vacuum.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER TABLE watches SET (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05)")


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER TABLE watches RESET (fillfactor, autovacuum_vacuum_scale_factor)")
