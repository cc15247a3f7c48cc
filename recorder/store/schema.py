"""The schema's versions: to head, back, where it stands, and refusing to run on any other."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect

from recorder.store.tables import metadata
from recorder.store.transactions import reading, writing

_VERSION_TABLE = "alembic_version"


class SchemaError(Exception):
    """The database's schema is not the one that this program needs; the text names the mending command."""


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
        return _state(connection)


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
        before = _state(connection)
        _refuse_unknown(before)
        command.upgrade(_config(connection), "head")
        return before


def downgrade(engine: Engine, revision: str) -> SchemaState:
    """Take the schema back to `revision` (`base` drops everything); return where it stood before.

    Raises:
        SchemaError: the database is not at a revision of this program, or `revision` is none.
    """
    with writing(engine) as connection:
        before = _state(connection)
        if before.current is None:
            raise SchemaError("the database has no schema to take back")
        _refuse_unknown(before)
        known = {"base", *_revisions()}
        if revision not in known:
            raise SchemaError(f"no revision {revision!r}; allowed: {', '.join(sorted(known))}")
        command.downgrade(_config(connection), revision)
        return before


def differences(engine: Engine) -> list[str]:
    """Return how the database's tables differ from those of this program, in words; none if they agree."""
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return [str(difference) for difference in compare_metadata(context, metadata)]


def _state(connection: Connection) -> SchemaState:
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
