"""How Alembic runs here: always on a connection that the caller opened, in one transaction.

One transaction also on SQLite: a migration that fails must not leave half of its tables.
"""

from __future__ import annotations

from alembic import context

from recorder.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
