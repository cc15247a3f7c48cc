"""Add a report to recorders: the upstream's health and the request rate that the groups need.

Revision: 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import guards

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("recorders", sa.Column("report", sa.Text, nullable=False, server_default="{}"))


def downgrade() -> None:
    guards.drop_column("recorders", "report")
