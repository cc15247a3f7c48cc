"""The revision of the database's schema: read it and require it."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from sqlalchemy import Connection, Engine, inspect, text

from recorder.store.dialects.registry import dialect_of
from recorder.store.transactions import reading

_VERSION_TABLE = "alembic_version"
_BACKUP_TOOLS = ("_litestream_",)
_ASSIGNMENT = re.compile(r"^(revision|down_revision)(?:: [^=]+)? = (.+)$", re.MULTILINE)


class SchemaError(Exception):
    """The schema is not the one needed, or cannot be moved as asked; the text says what to do."""


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The schema of a database against that of this program.

    `revisions` are those that the database says it is at: one, none, or several by mistake. `foreign` means
    that there is none although the database has tables.
    """

    revisions: tuple[str, ...]
    head: str
    foreign: bool

    @property
    def current(self) -> str | None:
        """The database's revision as text, None if it has none."""
        return ", ".join(self.revisions) or None

    @property
    def at_head(self) -> bool:
        return self.current == self.head

    @property
    def blank(self) -> bool:
        return self.current is None and not self.foreign


def is_of_backup_tool(table: str) -> bool:
    """Whether a table belongs to a tool that backs up the database, and keeps its own notes in it."""
    return table.startswith(_BACKUP_TOOLS)


def state_of(engine: Engine) -> SchemaState:
    """Return the state of a database's schema.

    Raises:
        DatabaseUnavailableError: the database cannot be read.
    """
    with reading(engine) as connection:
        return state_in(connection)


def state_in(connection: Connection) -> SchemaState:
    """Return the state of the schema as a transaction sees it."""
    names = inspect(connection).get_table_names(schema=dialect_of(connection).current_schema(connection))
    tables = {name for name in names if not is_of_backup_tool(name)}
    revisions = revisions_in(connection) if _VERSION_TABLE in tables else ()
    foreign = bool(tables - {_VERSION_TABLE}) and not revisions
    return SchemaState(revisions, known_revisions()[0], foreign)


def revisions_in(connection: Connection) -> tuple[str, ...]:
    """Return the revisions that a database with a schema says it is at."""
    query = f"SELECT version_num FROM {_VERSION_TABLE} ORDER BY 1"  # noqa: S608
    return tuple(connection.scalars(text(query)))


def schema_of(connection: Connection) -> str:
    """Return the schema of the tables: the first one in the search path that exists.

    Raises:
        SchemaError: there is none, as on a database without schemas.
    """
    name = dialect_of(connection).current_schema(connection)
    if name is None:
        raise SchemaError("there is no schema of the search path in the database")
    return name


def require_suitable(connection: Connection) -> None:
    """Refuse a database that cannot hold what was said, whatever its tables.

    Raises:
        SchemaError: with what it must be.
    """
    unsuitable = dialect_of(connection).unsuitable(connection)
    if unsuitable is not None:
        raise SchemaError(unsuitable)


def require_own(connection: Connection) -> None:
    """Refuse to write to a database whose ledger comes from another one.

    Raises:
        SchemaError: with what feeds it.
    """
    feeding = dialect_of(connection).fed_by(connection)
    if feeding is not None:
        raise SchemaError(
            f"the database is a logical replica, written to by the subscription {feeding}; only its primary "
            "can be recorded into; name that one in RECORDER_DATABASE_URL, and this one in "
            "RECORDER_READ_DATABASE_URL"
        )


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
    """Refuse a database that is not at one revision of this program, unless it is blank.

    Raises:
        SchemaError: it belongs to something else or to a newer program, or has several revisions.
    """
    if state.foreign:
        raise SchemaError(
            "the database has tables that are not the recorder's; give the recorder a database of its own"
        )
    if len(state.revisions) > 1:
        raise SchemaError(
            f"the database has several Alembic heads: {state.current}; if you know which revision its tables "
            "have, keep only that one with: alembic stamp --purge REVISION"
        )
    if state.current is not None and state.current not in known_revisions():
        raise SchemaError(
            f"the database's schema is at revision {state.current}, which this program does not know; "
            "install the newer recorder that made it"
        )


def known_revisions() -> list[str]:
    """Return the revisions of this program, the newest first.

    Their files are read, not imported: the reading commands should not have to load Alembic.
    """
    previous = dict(_links())
    revision = (previous.keys() - previous.values()).pop()
    found = [revision]
    while (before := previous[revision]) is not None:
        revision = before
        found.append(revision)
    return found


def _links() -> Iterator[tuple[str, str | None]]:
    """Yield each revision with the one before it."""
    for file in files("migrations.versions").iterdir():
        if file.name.endswith(".py") and file.name != "__init__.py":
            found = dict(_ASSIGNMENT.findall(file.read_text(encoding="utf-8")))
            yield literal_eval(found["revision"]), literal_eval(found["down_revision"])
