"""What the commands share: opening settings and databases, checking ids, and reporting errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

import click
from sqlalchemy import URL, Connection, Engine

from recorder.cli.elsewhere import elsewhere_text
from recorder.ledger.group_id import check_taskgroup_id
from recorder.processes import STOP_SIGNALS
from recorder.setting_names import misspelt_settings
from recorder.settings import Settings, SettingsError
from recorder.settings_loading import load_settings
from recorder.settings_validators import is_loopback
from recorder.store.demo_mark import is_of_demo
from recorder.store.engine import PROGRAM, database_file, display_url, open_engine
from recorder.store.schema import SchemaError, require_head, require_own, require_suitable, state_of
from recorder.store.startup import SERVER_WAIT_SECONDS, wait_for_server
from recorder.store.tombstones import ArchivedGroupError
from recorder.store.transactions import DatabaseUnavailableError, reading
from recorder.store.underived import UnderivedError
from recorder.store.watch_changes import BrokenLedgerError

_P = ParamSpec("_P")
_R = TypeVar("_R")

WRONG_USAGE = 2
_WARNED = "recorder.warned_of_misspelt_settings"


class WrongSettingsError(click.ClickException):
    """A setting is missing or invalid: exit status 2."""

    exit_code = WRONG_USAGE


def report_errors(command: Callable[_P, _R]) -> Callable[_P, _R]:
    """Report the errors that a user can fix in one line, with the right exit status."""

    @wraps(command)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return command(*args, **kwargs)
        except SettingsError as error:
            warn_of_misspelt_settings(print_warning)
            raise WrongSettingsError(str(error)) from None
        except SchemaError as error:
            # A misspelt name of the setting may be why it is not the database that was meant.
            warn_of_misspelt_settings(print_warning)
            raise click.ClickException(str(error)) from None
        except (ArchivedGroupError, UnderivedError) as error:
            raise click.ClickException(str(error)) from None
        except DatabaseUnavailableError as error:
            raise click.ClickException(f"the database cannot be used: {error}") from None

    return wrapped


def settings_with_key(needed: Collection[str]) -> tuple[Settings, str]:
    """Load the settings of a command that polls, and the API key; see `load_settings` for `needed`.

    Raises:
        SettingsError: a setting is invalid, or there is no API key.
    """
    settings = load_settings(needed)
    if settings.api_key is None:
        raise SettingsError("PARALLEL_API_KEY is not set; set it to your key for the provider's API")
    return settings, settings.api_key.get_secret_value()


def warn_of_misspelt_settings(warn: Callable[[str], object]) -> None:
    """Warn once about misspelt names of settings, unless the command that started this one does."""
    context = click.get_current_context()
    if not context.find_root().obj and not context.meta.get(_WARNED):
        context.meta[_WARNED] = True
        for line in misspelt_settings():
            warn(line)


def print_warning(line: str) -> None:
    """Print a warning on standard error."""
    click.echo(f"Warning: {line}", err=True)


def note_elsewhere() -> None:
    """Say on standard error if recorders of this user record into another database."""
    if (elsewhere := elsewhere_text()) is not None:
        click.echo(f"Note: {elsewhere}", err=True)


@contextmanager
def writable_database(settings: Settings, *, wait: bool = False) -> Iterator[Engine]:
    """Open the recorder's database for writing; its schema must be at head. It may be waited for.

    Raises:
        SchemaError: the schema is not at head; the text names the command that fixes it.
        DatabaseUnavailableError: the database cannot be opened.
    """
    require_file(settings.write_url)
    with opened_database(settings.write_url) as engine:
        if wait:
            wait_for_database(engine)
        require_head(state_of(engine))
        with reading(engine) as connection:
            require_suitable(connection)
            require_own(connection)
        yield engine


@contextmanager
def readable_database(settings: Settings) -> Iterator[Connection]:
    """Open the database for readers, read-only, and take one snapshot of it.

    Raises:
        SchemaError: the schema is not at head; the text names the command that fixes it.
        DatabaseUnavailableError: the database cannot be opened.
    """
    require_file(settings.read_url)
    with opened_database(settings.read_url, read_only=True) as engine:
        require_head(state_of(engine))
        with reading(engine) as connection:
            yield connection


def refuse_demo_database(settings: Settings, engine: Engine) -> None:
    """Refuse to ask a real provider, with the user's key, for the groups that a demo made up.

    Raises:
        ClickException: it would be done.
    """
    with reading(engine) as connection:
        text = demo_text(settings, connection)
    if text is not None:
        raise click.ClickException(text)


def demo_text(settings: Settings, connection: Connection) -> str | None:
    """Return why the provider must not be asked for the groups of a demo; None if they are not."""
    if is_loopback(urlsplit(settings.base_url).hostname or "") or not is_of_demo(connection):
        return None
    return (
        f"{display_url(settings.write_url)} was made by recorder demo: the provider does not know "
        "its groups; set RECORDER_DATABASE_URL to another database to record your own"
    )


def checked_ids(ids: list[str]) -> tuple[list[str], list[str]]:
    """Return the valid ids, each once, and a complaint about each of the others."""
    good: dict[str, None] = {}
    complaints = []
    for text in ids:
        try:
            good[check_taskgroup_id(text)] = None
        except ValueError as error:
            complaints.append(f"{text[:80]!a}: {error}")
    return list(good), complaints


def exit_with(complaints: list[str]) -> None:
    """Print each complaint on a line; if there are any, end the command with exit status 1."""
    for complaint in complaints:
        click.echo(f"Error: {complaint}", err=True)
    if complaints:
        raise click.exceptions.Exit(1)


def check_note(note: str | None, option: str) -> None:
    """Refuse a note that tables could not show in one line.

    Raises:
        UsageError: it is one; the text names `option`, where it was given.
    """
    if note is not None and not note.isprintable():
        raise click.UsageError(f"{option}: give one line of printable characters")


def archived_text(taskgroup_id: str) -> str:
    """Return what to say about a group among others that is archived."""
    return f"{taskgroup_id}: is archived; bring it back first with: recorder import --restore FILE"


def broken_text(taskgroup_id: str, error: BrokenLedgerError) -> str:
    """Return what to say about a group whose rows contradict each other."""
    return f"{taskgroup_id}: {error}; see what is wrong with: recorder verify, and restore a backup"


def stop_on_signals(loop: asyncio.AbstractEventLoop) -> asyncio.Event:
    """Return an event that is set when the process receives a signal to stop."""
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    return stop


@contextmanager
def opened_database(url: URL, *, read_only: bool = False, primary: bool = False) -> Iterator[Engine]:
    """Open a database without looking at its schema; close it at the end of the block."""
    engine = open_engine(url, read_only=read_only, primary=primary, name=_command_name())
    try:
        yield engine
    finally:
        engine.dispose()


def wait_for_database(engine: Engine) -> None:
    """Wait a while for a server that is not there yet, and say so.

    Raises:
        DatabaseUnavailableError: it does not come, or waiting does not help.
    """

    def announce(reason: str) -> None:
        place = display_url(engine.url)
        click.echo(
            f"waiting up to {SERVER_WAIT_SECONDS:.0f} s for the database at {place}: {reason}", err=True
        )

    wait_for_server(engine, announce)


def _command_name() -> str:
    """Return the name of the running command with its parents."""
    context = click.get_current_context(silent=True)
    return PROGRAM if context is None else context.command_path


def require_file(url: URL) -> None:
    """Refuse a SQLite file that does not exist, since opening it would create it.

    Raises:
        SchemaError: the file does not exist; the text names the command that creates it.
    """
    path = database_file(url)
    if path is None:
        return
    if path.is_dir():
        raise SchemaError(f"{path} is a folder; set RECORDER_DATABASE_URL to a file in it")
    if not path.is_file():
        elsewhere = elsewhere_text()
        raise SchemaError(
            f"there is no database at {display_url(url)}; create one with: recorder db upgrade"
            + (f" ({elsewhere})" if elsewhere else "")
        )
