"""Create the table of the keys of requests, which are carried out once.

Revision: 0010, after 0009.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import guards

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

Time = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "request_keys",
        sa.Column("taskgroup_id", Id, primary_key=True),
        sa.Column("key", Id, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("at", Time, nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    guards.refuse_dependent_views("request_keys")
    op.drop_table("request_keys")
