"""What the commands share: settings and databases opened with words for what can go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

import click
from sqlalchemy import URL, Connection, Engine

from recorder.ledger.group_id import check_taskgroup_id
from recorder.processes import STOP_SIGNALS
from recorder.settings import Settings, SettingsError, load_settings
from recorder.store.engine import database_file, open_engine
from recorder.store.schema import SchemaError, require_head, state_of, upgrade
from recorder.store.transactions import DatabaseUnavailableError, reading

_P = ParamSpec("_P")
_R = TypeVar("_R")

WRONG_USAGE = 2


class WrongSettingsError(click.ClickException):
    """A setting is missing or not allowed: exit status 2."""

    exit_code = WRONG_USAGE


def report_errors(command: Callable[_P, _R]) -> Callable[_P, _R]:
    """Turn what a user can mend into one line and the right exit status."""

    @wraps(command)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return command(*args, **kwargs)
        except SettingsError as error:
            raise WrongSettingsError(str(error)) from None
        except SchemaError as error:
            raise click.ClickException(str(error)) from None
        except DatabaseUnavailableError as error:
            raise click.ClickException(f"the database cannot be used: {error}") from None

    return wrapped


def settings_with_key() -> tuple[Settings, str]:
    """Load the settings of a command that polls, and the API key.

    Raises:
        SettingsError: also where there is no API key.
    """
    settings = load_settings()
    if settings.api_key is None:
        raise SettingsError("PARALLEL_API_KEY: is not set; set it to your key for the provider's API")
    return settings, settings.api_key.get_secret_value()


@contextmanager
def writable_database(settings: Settings, *, create: bool = False) -> Iterator[Engine]:
    """Open the recorder's database with its schema at head.

    With `create` a database that holds nothing yet is made ready first.

    Raises:
        SchemaError: the schema is not this program's; the text names the command that mends it.
        DatabaseUnavailableError: it cannot be opened.
    """
    if not create:
        require_file(settings.write_url)
    with opened_database(settings.write_url) as engine:
        state = state_of(engine)
        if create and state.blank:
            upgrade(engine)
            click.echo(f"made the tables in {display_url(settings.write_url)}", err=True)
        else:
            require_head(state)
        yield engine


@contextmanager
def readable_database(settings: Settings) -> Iterator[Connection]:
    """Open the database that readers use, read-only, and take one snapshot of it."""
    require_file(settings.read_url)
    with opened_database(settings.read_url, read_only=True) as engine:
        require_head(state_of(engine))
        with reading(engine) as connection:
            yield connection


def display_url(url: URL) -> str:
    """Return a database's address without what may be secret: its password, its parameters."""
    return url.set(query={}).render_as_string(hide_password=True)


def checked_ids(ids: list[str]) -> tuple[list[str], list[str]]:
    """Part ids into good ones, each once, and complaints about the others."""
    good: dict[str, None] = {}
    complaints = []
    for text in ids:
        try:
            good[check_taskgroup_id(text)] = None
        except ValueError as error:
            complaints.append(f"{text[:80]!a}: {error}")
    return list(good), complaints


def stop_on_signals(loop: asyncio.AbstractEventLoop) -> asyncio.Event:
    """Return an event that the signals to stop set."""
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    return stop


@contextmanager
def opened_database(url: URL, *, read_only: bool = False) -> Iterator[Engine]:
    """Open a database, whatever it holds, and close it in the end."""
    engine = open_engine(url, read_only=read_only)
    try:
        yield engine
    finally:
        engine.dispose()


def require_file(url: URL) -> None:
    """Refuse a SQLite file that is not there, which opening it would make.

    Raises:
        SchemaError: with the command that makes one.
    """
    path = database_file(url)
    if path is None:
        return
    if path.is_dir():
        raise SchemaError(f"{path} is a folder; name a file in it with RECORDER_DATABASE_URL")
    if not path.is_file():
        raise SchemaError(f"there is no database at {display_url(url)}; make one with: recorder db upgrade")
