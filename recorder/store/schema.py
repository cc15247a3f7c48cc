"""The revision of the database's schema: read it, require it, and move it up or down."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, inspect

from recorder.store.transactions import reading, writing

BASE = "base"
"""The revision before the first: no tables at all."""

_VERSION_TABLE = "alembic_version"


class SchemaError(Exception):
    """The schema is not the one needed, or cannot be moved as asked; the text says what to do."""


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The schema of a database against that of this program.

    `current` is the database's revision, None if it has none. `foreign` means that there is none although
    the database has tables.
    """

    current: str | None
    head: str
    foreign: bool

    @property
    def at_head(self) -> bool:
        return self.current == self.head

    @property
    def blank(self) -> bool:
        return self.current is None and not self.foreign


def state_of(engine: Engine) -> SchemaState:
    """Return the state of a database's schema.

    Raises:
        DatabaseUnavailableError: the database cannot be read.
    """
    with reading(engine) as connection:
        return state_in(connection)


def state_in(connection: Connection) -> SchemaState:
    """Return the state of the schema as a transaction sees it."""
    tables = set(inspect(connection).get_table_names())
    current = MigrationContext.configure(connection).get_current_revision()
    head = _scripts().get_current_head()
    return SchemaState(current, str(head), foreign=bool(tables - {_VERSION_TABLE}) and current is None)


def require_head(state: SchemaState) -> None:
    """Refuse to work on any schema but this program's.

    Raises:
        SchemaError: with the command that helps.
    """
    if state.at_head:
        return
    if state.blank:
        raise SchemaError("the database is empty; create its tables with: recorder db upgrade")
    refuse_unknown(state)
    raise SchemaError(
        f"the database's schema is at revision {state.current}, this program needs {state.head}; "
        "upgrade it with: recorder db upgrade"
    )


def refuse_unknown(state: SchemaState) -> None:
    """Refuse a database that has no revision of this program, unless it is blank.

    Raises:
        SchemaError: it belongs to something else, or to a newer program.
    """
    if state.foreign:
        raise SchemaError(
            "the database has tables that are not the recorder's; give the recorder a database of its own"
        )
    if state.current is not None and state.current not in _revisions():
        raise SchemaError(
            f"the database's schema is at revision {state.current}, which this program does not know; "
            "install the newer recorder that made it"
        )


def upgrade(engine: Engine) -> SchemaState:
    """Upgrade the schema to head in one transaction; return its state before.

    Raises:
        SchemaError: the database belongs to something else, or to a newer program.
        DatabaseUnavailableError: the database cannot be used.
    """
    with writing(engine) as connection:
        before = state_in(connection)
        refuse_unknown(before)
        bring_to_head(connection)
        return before


def bring_to_head(connection: Connection) -> None:
    """Run the outstanding migrations, and rebuild stale derived rows, in the transaction of `connection`."""
    command.upgrade(_config(connection), "head")


def downgrade(engine: Engine, revision: str, *, discard_ledger: bool) -> SchemaState:
    """Downgrade the schema to `revision` (`base` drops everything); return its state before.

    Raises:
        SchemaError: the database is not at a revision of this program, `revision` is not an earlier one,
            views of others depend on what would be dropped, or the ledger has entries and `discard_ledger`
            does not allow dropping it. Nothing was changed.
        DatabaseUnavailableError: the database cannot be used.
    """
    with writing(engine) as connection:
        before = state_in(connection)
        if before.current is None:
            raise SchemaError("the database has no schema to downgrade")
        refuse_unknown(before)
        allowed = [BASE, *reversed(_revisions(before.current))]
        if revision not in allowed:
            raise SchemaError(
                f"{before.current} cannot be downgraded to {revision!r}; allowed: {', '.join(allowed)}"
            )
        try:
            command.downgrade(_config(connection, discard_ledger=discard_ledger), revision)
        except CommandError as error:
            raise SchemaError(str(error)) from None
        return before


def _revisions(newest: str = "heads") -> list[str]:
    """Return the revisions from the newest back to the first."""
    return [script.revision for script in _scripts().iterate_revisions(newest, BASE)]


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config(connection: Connection | None = None, *, discard_ledger: bool = False) -> Config:
    """Configure Alembic without `alembic.ini`, which is not installed with the program."""
    # Migrations read the options that `alembic -x` sets.
    config = Config(cmd_opts=Namespace(x=["discard_ledger=yes"] if discard_ledger else []))
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
