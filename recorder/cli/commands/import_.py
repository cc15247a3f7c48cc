"""`recorder import`: load an export into an empty database."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import click
from sqlalchemy import URL, Connection, Engine

from recorder.audit.archive.archive_file import plain_lines
from recorder.audit.archive.restore import plan_restore, restore_groups
from recorder.audit.export_format import ImportRefusedError
from recorder.audit.importer import load
from recorder.cli.common import opened_database, report_errors, writable_database
from recorder.cli.output.files import Advance, progress, sizes_text, stoppable
from recorder.cli.output.format import count_text
from recorder.processes import stop_requests
from recorder.settings_loading import ENROLLING, load_settings
from recorder.store.database_clock import clock_of
from recorder.store.engine import database_file, database_files, display_url
from recorder.store.migrate import bring_to_head
from recorder.store.schema import require_head, require_suitable, state_in
from recorder.store.transactions import DatabaseUnavailableError, migrating


@click.command("import")
@click.argument("file", metavar="FILE", type=click.File("rb"))
@click.option(
    "--restore", is_flag=True, help="Bring the groups of an archive back into the database they are from."
)
@report_errors
def command(file: BinaryIO, *, restore: bool) -> None:
    """Import an export (- for standard input) into an empty database, creating its tables if needed.

    Every line is verified; if one is wrong, nothing is imported. The file may be compressed.
    """
    if restore:
        if file.fileno() == sys.stdin.fileno():
            raise click.UsageError("--restore needs a file, which is read twice")
        _restore(Path(file.name))
        return
    settings = load_settings(ENROLLING)
    # After the commit, a signal must not lead to the message that nothing was written.
    with stop_requests() as asked, _database(settings.write_url) as engine:
        try:
            with migrating(engine) as connection, stoppable("stopped: nothing was written"):
                if asked():
                    raise KeyboardInterrupt
                created = _create_tables_if_blank(connection)
                with progress("importing", _size(file)) as advance:
                    lines = _with_progress(plain_lines(file), file, advance)
                    now = clock_of(connection)
                    done = load(connection, lines, gap_window=settings.rules.gap_window, now=now)
        except ImportRefusedError as error:
            raise click.ClickException(str(error)) from None
    where = display_url(settings.write_url)
    if created:
        click.echo(f"created the tables in {where}", err=True)
    click.echo(f"{sizes_text(done.entries, done.groups)} imported into {where}")


@contextmanager
def _database(url: URL) -> Iterator[Engine]:
    """Open the database; a new SQLite file gets its name only if the block succeeds."""
    file = database_file(url)
    if file is None or _is_there(file):
        with opened_database(url) as engine:
            yield engine
        return
    target = file.resolve()
    part = url.set(database=str(target.with_name(f".recorder-{secrets.token_hex(6)}.part")))
    try:
        with opened_database(part) as engine:
            yield engine
        if target.exists():
            raise click.ClickException(
                f"{display_url(url)} was created by something else meanwhile; nothing was written"
            )
        database_files(part)[0].replace(target)
    finally:
        for leftover in database_files(part):
            with suppress(OSError):
                leftover.unlink()


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # Opening it will report what is wrong.
        return True


def _create_tables_if_blank(connection: Connection) -> bool:
    """Create the tables if the database is blank; return whether it was.

    Raises:
        SchemaError: the schema is not at head, or the database cannot hold every text.
    """
    state = state_in(connection)
    if state.blank:
        require_suitable(connection)
        bring_to_head(connection)
    else:
        require_head(state)
    return state.blank


def _restore(path: Path) -> None:
    """Bring the groups of an archive back. The whole file is verified before any of them is."""
    try:
        with writable_database(load_settings(needed=())) as engine:
            with (
                stoppable("stopped: nothing was written"),
                progress("verifying", path.stat().st_size) as told,
            ):
                plan = plan_restore(engine, path, told)
            groups = entries = 0
            state = "some of the groups may be back; repeat the command for the others"
            with stoppable(f"stopped: {state}"), progress("restoring", plan.entries) as told:
                try:
                    for restored in restore_groups(engine, path, plan):
                        groups, entries = groups + restored.groups, entries + restored.entries
                        told(entries)
                except DatabaseUnavailableError as error:
                    raise click.ClickException(f"the database cannot be used: {error}; {state}") from None
            where = display_url(engine.url)
    except ImportRefusedError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or path}: {error.strerror or error}") from None
    present = f"; {count_text(plan.present, 'group')} stood there already" if plan.present else ""
    elsewhere = f"; {count_text(plan.elsewhere, 'group')} archived in another file" if plan.elsewhere else ""
    click.echo(f"{sizes_text(entries, groups)} restored into {where}{present}{elsewhere}")


def _with_progress(lines: Iterable[bytes], file: BinaryIO, advance: Advance) -> Iterator[bytes]:
    done, seekable = 0, file.seekable()
    for line in lines:
        done += len(line)
        advance(file.tell() if seekable else done)
        yield line


def _size(file: BinaryIO) -> int | None:
    found = os.fstat(file.fileno())
    return found.st_size if stat.S_ISREG(found.st_mode) else None
