"""The schema's versions: to head, back, where it stands, and refusing to run on any other."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, func, inspect, select, text

from recorder.store.derived import rebuild_stale
from recorder.store.tables import entries
from recorder.store.transactions import reading, writing

BASE = "base"
"""The revision before the first: no tables at all."""

_VERSION_TABLE = "alembic_version"


class SchemaError(Exception):
    """The database's schema is not the one that this program needs; the text names the mending command."""


class LedgerNotEmptyError(Exception):
    """The ledger has entries, which cannot be recorded again; the text says how many."""


@dataclass(frozen=True, slots=True)
class SchemaState:
    """`current` is the database's revision, None if it has none; `foreign` if it holds tables of others."""

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
    """Return where the database's schema stands.

    Raises:
        DatabaseUnavailableError: the database cannot be read.
    """
    with reading(engine) as connection:
        return state_in(connection)


def require_head(state: SchemaState) -> None:
    """Refuse to work on any schema but this program's own.

    Raises:
        SchemaError: with the command that mends it.
    """
    if state.at_head:
        return
    if state.blank:
        raise SchemaError("the database is empty; make its tables with: recorder db upgrade")
    _refuse_unknown(state)
    raise SchemaError(
        f"the database's schema is at revision {state.current}, this program needs {state.head}; "
        "bring it there with: recorder db upgrade"
    )


def upgrade(engine: Engine) -> SchemaState:
    """Bring the schema to head, and what is derived to its rules, in one transaction; return where it stood.

    Raises:
        SchemaError: the database belongs to something else, or to a newer program.
    """
    with writing(engine) as connection:
        before = state_in(connection)
        _refuse_unknown(before)
        bring_to_head(connection)
        rebuild_stale(connection)
        return before


def bring_to_head(connection: Connection) -> None:
    """Carry out the migrations that are still to come, in the transaction of `connection`."""
    command.upgrade(_config(connection), "head")


def downgrade(engine: Engine, revision: str, *, discard_ledger: bool) -> SchemaState:
    """Take the schema back to `revision` (`base` drops everything); return where it stood before.

    Raises:
        SchemaError: the database is not at a revision of this program, or `revision` is none behind it.
        LedgerNotEmptyError: a ledger with entries would be dropped, and `discard_ledger` does not allow it.
    """
    with writing(engine) as connection:
        before = state_in(connection)
        if before.current is None:
            raise SchemaError("the database has no schema to take back")
        _refuse_unknown(before)
        behind = [BASE, *reversed(_revisions(before.current))]
        if revision not in behind:
            allowed = ", ".join(behind)
            raise SchemaError(f"{before.current} cannot be taken back to {revision!r}; allowed: {allowed}")
        if revision == BASE and not discard_ledger:
            _refuse_to_discard(connection)
        command.downgrade(_config(connection), revision)
        return before


def _refuse_to_discard(connection: Connection) -> None:
    if not inspect(connection).has_table(entries.name):
        return
    if connection.dialect.name == "postgresql":
        # A recorder at work must not write entries between our look and the drop.
        connection.execute(text("LOCK TABLE entries IN ACCESS EXCLUSIVE MODE"))
    count = connection.scalar(select(func.count()).select_from(entries))
    if count:
        raise LedgerNotEmptyError(f"the ledger has {count} entries, which cannot be recorded again")


def state_in(connection: Connection) -> SchemaState:
    """Return where the schema stands, as a transaction sees it."""
    tables = set(inspect(connection).get_table_names())
    current = MigrationContext.configure(connection).get_current_revision()
    head = _scripts().get_current_head()
    return SchemaState(current, str(head), foreign=bool(tables - {_VERSION_TABLE}) and current is None)


def _refuse_unknown(state: SchemaState) -> None:
    if state.foreign:
        raise SchemaError(
            "the database holds tables that are not the recorder's; give it a database of its own"
        )
    if state.current is not None and state.current not in _revisions():
        raise SchemaError(
            f"the database's schema is at revision {state.current}, which this program does not know; "
            "install the newer recorder that made it"
        )


def _revisions(newest: str = "heads") -> list[str]:
    """The revisions from the newest back to the first."""
    return [script.revision for script in _scripts().iterate_revisions(newest, BASE)]


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config(None))


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
