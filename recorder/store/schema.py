"""The schema's versions: to head, back, where it stands, and refusing to run on any other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, func, inspect, select, text

from recorder.store.grants import VIEWS
from recorder.store.tables import entries, metadata
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
    """Bring the schema to head, in one transaction; return where it stood before.

    Raises:
        SchemaError: the database belongs to something else, or to a newer program.
    """
    with writing(engine) as connection:
        before = state_in(connection)
        _refuse_unknown(before)
        command.upgrade(_config(connection), "head")
        return before


def downgrade(engine: Engine, revision: str, *, discard_ledger: bool) -> SchemaState:
    """Take the schema back to `revision` (`base` drops everything); return where it stood before.

    Raises:
        SchemaError: the database is not at a revision of this program, or `revision` is none.
        LedgerNotEmptyError: a ledger with entries would be dropped, and `discard_ledger` does not allow it.
    """
    with writing(engine) as connection:
        before = state_in(connection)
        if before.current is None:
            raise SchemaError("the database has no schema to take back")
        _refuse_unknown(before)
        known = {BASE, *_revisions()}
        if revision not in known:
            raise SchemaError(f"no revision {revision!r}; allowed: {', '.join(sorted(known))}")
        if revision == BASE and not discard_ledger:
            _refuse_to_discard(connection)
        command.downgrade(_config(connection), revision)
        return before


def differences(engine: Engine) -> list[str]:
    """Return in words how the database differs from what the migrations make; nothing if it does not."""
    with reading(engine) as connection:
        return [
            *_table_differences(connection),
            *(f"view {name}: is missing" for name in _missing_views(connection)),
            *(f"trigger {name}: is missing or off" for name in _missing_triggers(connection)),
        ]


def _table_differences(connection: Connection) -> Iterator[str]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    for difference in compare_metadata(context, metadata):
        # Changes of columns come as lists of single differences.
        for action, *what in difference if isinstance(difference, list) else [difference]:
            names = [_name(part) for part in what if part is not None]
            yield f"{_ACTIONS.get(action, action)}: {' '.join(names)}"


_ACTIONS = {
    "add_table": "missing table",
    "remove_table": "table of others",
    "add_column": "missing column",
    "remove_column": "column of others",
    "add_index": "missing index",
    "remove_index": "index of others",
    "modify_type": "other type of column",
    "modify_nullable": "other nullability of column",
    "modify_default": "other default of column",
}


def _name(part: object) -> str:
    return str(getattr(part, "name", part))


def _missing_views(connection: Connection) -> list[str]:
    present = set(inspect(connection).get_view_names())
    return [name for name in VIEWS if name not in present]


def _missing_triggers(connection: Connection) -> list[str]:
    """The ledger's guards: a database without them would let entries be changed."""
    needed, present = _TRIGGERS[connection.dialect.name]
    found = set(connection.scalars(text(present)))
    return [name for name in needed if name not in found]


_TRIGGERS = {
    "sqlite": (
        ("entries_refuse_update", "entries_refuse_delete", "entries_refuse_replace"),
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'entries'",
    ),
    "postgresql": (
        ("entries_refuse_change", "entries_refuse_truncate"),
        "SELECT tgname FROM pg_trigger WHERE tgrelid = 'entries'::regclass AND tgenabled = 'A'",
    ),
}


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


def _revisions() -> set[str]:
    return {script.revision for script in _scripts().walk_revisions()}


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config(None))


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
