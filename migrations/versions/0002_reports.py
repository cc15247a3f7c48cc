"""Recorders report what is wrong with the upstream and what the groups need of the rate.

Revision: 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("recorders", sa.Column("report", sa.Text, nullable=False, server_default="{}"))


def downgrade() -> None:
    op.drop_column("recorders", "report")
