"""Move the schema of a database to another revision."""

from __future__ import annotations

from argparse import Namespace
from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine

from recorder.store.rebuilding import rebuild_left
from recorder.store.schema import (
    SchemaError,
    SchemaState,
    known_revisions,
    refuse_unknown,
    require_suitable,
    state_in,
)
from recorder.store.transactions import migrating

BASE = "base"
"""The revision before the first: no tables at all."""


def upgrade(engine: Engine) -> SchemaState:
    """Upgrade the schema to head, and derive anew what other rules derived; return the schema's state before.

    Raises:
        SchemaError: as by `upgrade_schema`.
        DatabaseUnavailableError: the database cannot be used.
    """
    before = upgrade_schema(engine)
    for _ in rebuild_left(engine):
        pass
    return before


def upgrade_schema(engine: Engine) -> SchemaState:
    """Upgrade the schema to head in one transaction, which is short; return its state before.

    What other rules derived is left to `rebuild_left`. If another process upgrades the database at that time,
    wait for it.

    Raises:
        SchemaError: the database belongs to something else, or to a newer program, or cannot hold every text.
        DatabaseUnavailableError: the database cannot be used.
    """
    with migrating(engine) as connection:
        require_suitable(connection)
        before = state_in(connection)
        refuse_unknown(before)
        bring_to_head(connection)
        return before


def bring_to_head(connection: Connection) -> None:
    """Run the outstanding migrations in the transaction of `connection`."""
    command.upgrade(_config(connection), "head")


def downgrade(engine: Engine, revision: str, *, discard_ledger: bool) -> SchemaState:
    """Downgrade the schema to `revision` (`base` drops everything); return its state before.

    Raises:
        SchemaError: the database is not at a revision of this program, `revision` is not an earlier one,
            views of others depend on what would be dropped, or the ledger has entries and `discard_ledger`
            does not allow dropping it. Nothing was changed.
        DatabaseUnavailableError: the database cannot be used.
    """
    with migrating(engine) as connection:
        before = state_in(connection)
        if before.current is None:
            raise SchemaError("the database has no schema to downgrade")
        refuse_unknown(before)
        known = known_revisions()
        allowed = [BASE, *reversed(known[known.index(before.current) :])]
        if revision not in allowed:
            raise SchemaError(
                f"{before.current} cannot be downgraded to {revision!r}; allowed: {', '.join(allowed)}"
            )
        try:
            command.downgrade(_config(connection, discard_ledger=discard_ledger), revision)
        except CommandError as error:
            raise SchemaError(str(error)) from None
        return before


def _config(connection: Connection, *, discard_ledger: bool = False) -> Config:
    """Configure Alembic without `alembic.ini`, which is not installed with the program."""
    # Migrations read the options that `alembic -x` sets.
    config = Config(cmd_opts=Namespace(x=["discard_ledger=yes"] if discard_ledger else []))
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
