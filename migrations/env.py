"""How Alembic runs the migrations: always in one transaction, so that one that fails leaves nothing behind.

`recorder db` hands over a connection with its transaction. The `alembic` command opens the database that
the recorder's settings name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from logging.config import fileConfig
from pathlib import Path
from typing import Any

from alembic import context
from alembic.operations import MigrationScript
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine

from recorder.settings import SettingsError
from recorder.settings_loading import load_settings
from recorder.store import archive_tables, run_tables  # noqa: F401 (add their tables to the metadata)
from recorder.store.engine import open_engine
from recorder.store.event_tables import metadata
from recorder.store.rebuilding import rebuild_left
from recorder.store.schema import SchemaError, refuse_unknown, require_suitable, state_in, state_of
from recorder.store.tables import Time
from recorder.store.transactions import DatabaseUnavailableError, migrating


def render_type(kind: str, item: object, _context: object) -> str | bool:
    """Spell our own types in SQLAlchemy's, since a revision imports nothing of the recorder."""
    if kind == "type" and isinstance(item, Time):
        return "sa.DateTime(timezone=True).with_variant(sa.Text(), 'sqlite')"
    return False


def number_revision(_context: object, _revision: object, directives: list[MigrationScript]) -> None:
    """Name a generated revision by the next number, unless `--rev-id` names it."""
    if getattr(context.config.cmd_opts, "rev_id", None) is None:
        directives[0].rev_id = f"{int(context.script.get_current_head() or 0) + 1:04d}"


OPTIONS: dict[str, Any] = {
    "target_metadata": metadata,
    # SQLite can undo DDL too: a migration that fails must not leave half of its tables.
    "transactional_ddl": True,
    "compare_type": True,
    "compare_server_default": True,
    "render_item": render_type,
    "process_revision_directives": number_revision,
}


def migrate(connection: Connection) -> None:
    """Run Alembic's command in the transaction of `connection`."""
    context.configure(connection=connection, **OPTIONS)
    with context.begin_transaction():
        context.run_migrations()


def migrate_own_database() -> None:
    """Run Alembic's command on the database that the settings name."""
    if context.config.config_file_name is not None:
        fileConfig(context.config.config_file_name, disable_existing_loggers=False)
    try:
        url = load_settings(needed=()).write_url
        if context.is_offline_mode():
            print_script(url)
            return
        command = command_name()
        if command not in {None, "upgrade"}:
            require_file(url)
        with opened_database(url) as engine:
            with migrating(engine) as connection:
                if command == "upgrade":
                    require_suitable(connection)
                # `alembic stamp` can repair a database whose revision is lost.
                if command != "stamp":
                    refuse_unknown(state_in(connection))
                migrate(connection)
            if command == "upgrade" and state_of(engine).at_head:
                for _ in rebuild_left(engine):
                    pass
    except (SettingsError, SchemaError) as error:
        raise CommandError(str(error)) from None
    except DatabaseUnavailableError as error:
        raise CommandError(f"the database cannot be used: {error}") from None


def command_name() -> str | None:
    """Return the name of the `alembic` command, None where a program runs one."""
    command = getattr(context.config.cmd_opts, "cmd", None)
    return command and command[0].__name__


def require_file(url: URL) -> None:
    """Refuse a missing SQLite file, which opening it would create."""
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        raise CommandError(f"there is no database at {url}; create one with: alembic upgrade head")


@contextmanager
def opened_database(url: URL) -> Iterator[Engine]:
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def print_script(url: URL) -> None:
    """Print the migrations as a script (`--sql`) in the dialect of the database."""
    context.configure(url=url, literal_binds=True, dialect_opts={"paramstyle": "named"}, **OPTIONS)
    with context.begin_transaction():
        context.run_migrations()
    context.static_output("-- Afterwards fill the derived tables with: recorder db rebuild")


handed_over = context.config.attributes.get("connection")
if handed_over is None:
    migrate_own_database()
else:
    migrate(handed_over)
