"""`recorder watch`, `unwatch`, `pause` and `resume`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

import click
from sqlalchemy import Engine

from recorder.cli.common import checked_ids, exit_with, opened_database, report_errors, writable_database
from recorder.clock import Clock
from recorder.ledger.entries import Action
from recorder.settings import Settings
from recorder.settings_loading import ENROLLING, load_settings
from recorder.store.database_clock import measured_clock
from recorder.store.engine import display_url
from recorder.store.enrolment import (
    BrokenLedgerError,
    Deadline,
    UnknownGroupError,
    cease_watching,
    resume_watching,
    watch_group,
)
from recorder.store.migrate import upgrade
from recorder.store.schema import require_head, state_of


@dataclass(frozen=True, slots=True)
class OpenedDatabase:
    """A database that is open for writing, its clock, and the settings."""

    engine: Engine
    now: Clock
    settings: Settings


Change = Callable[[OpenedDatabase, str, str | None, Deadline], Action | None]
"""Changes the watch of one group. It takes the database, the id, the note, and how long to wait for polls in
progress; it returns None if there was nothing to change."""


def change_command(name: str, help_text: str, change: Change, *, unchanged: str) -> click.Command:
    """Return a command that applies `change` to groups; `unchanged` describes one with nothing to change."""

    @click.command(name, help=help_text)
    @click.argument("ids", nargs=-1, required=True, metavar="ID...")
    @click.option("--note", help="The reason, to keep in the ledger with the entry.")
    @report_errors
    def command(ids: tuple[str, ...], note: str | None) -> None:
        _check_note(note)
        good, complaints = checked_ids(list(ids))
        settings = load_settings(ENROLLING)
        deadline = Deadline()
        with writable_database(settings) as engine:
            database = OpenedDatabase(engine, measured_clock(engine), settings)
            for taskgroup_id in good:
                try:
                    action = change(database, taskgroup_id, note, deadline)
                except UnknownGroupError:
                    complaints.append(f"{taskgroup_id}: was never watched")
                except BrokenLedgerError as error:
                    complaints.append(_broken_text(taskgroup_id, error))
                else:
                    complaints += _report(taskgroup_id, action and action.value, unchanged, note)
        exit_with(complaints)

    return command


@click.command("watch")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--note", help="The reason, to keep in the ledger with the entry.")
@click.option(
    "--from-file",
    "file",
    type=click.File(encoding="utf-8-sig"),
    help="Read ids from a file, one per line (- for standard input).",
)
@report_errors
def watch_command(ids: tuple[str, ...], note: str | None, file: TextIO | None) -> None:
    """Start watching groups; resume those that were paused, stopped, gone or retired.

    If the database is empty, its tables are created first.
    """
    given = [*ids, *_ids_in(file)]
    if not given:
        raise click.UsageError("name at least one group, or give --from-file")
    _check_note(note)
    good, complaints = checked_ids(given)
    if good:
        settings = load_settings(ENROLLING)
        with _created_database(settings) as engine:
            database = OpenedDatabase(engine, measured_clock(engine), settings)
            for taskgroup_id in good:
                complaints += _watch(database, taskgroup_id, note)
    exit_with(complaints)


def _ids_in(file: TextIO | None) -> list[str]:
    if file is None:
        return []
    try:
        lines = [line.strip() for line in file]
    except UnicodeDecodeError:
        raise click.UsageError(f"--from-file: {file.name} is not a text file in UTF-8") from None
    return [line for line in lines if line and not line.startswith("#")]


def _watch(database: OpenedDatabase, taskgroup_id: str, note: str | None) -> list[str]:
    """Watch one group and print so; return what went wrong."""
    try:
        action = watch_group(
            database.engine,
            taskgroup_id,
            actor=database.settings.actor,
            note=note,
            now=database.now,
            rules=database.settings.rules,
        )
    except BrokenLedgerError as error:
        return [_broken_text(taskgroup_id, error)]
    changed = {Action.STARTED: "watching", Action.RESUMED: "watching again"}
    return _report(taskgroup_id, action and changed[action], "is being watched already", note)


def _report(taskgroup_id: str, changed: str | None, unchanged: str, note: str | None) -> list[str]:
    """Print what became of one group; return a complaint if its note could not be kept."""
    if changed is None and note is not None:
        return [f"{taskgroup_id}: {unchanged}, so there is no entry to keep the note with"]
    click.echo(f"{taskgroup_id}: {changed or unchanged}")
    return []


def _check_note(note: str | None) -> None:
    """Refuse a note that tables could not show in one line."""
    if note is not None and not note.isprintable():
        raise click.UsageError("--note: give one line of printable characters")


def _broken_text(taskgroup_id: str, error: BrokenLedgerError) -> str:
    return f"{taskgroup_id}: {error}; see what is wrong with: recorder verify, and restore a backup"


def _ceasing(action: Action) -> Change:
    def cease(
        database: OpenedDatabase, taskgroup_id: str, note: str | None, deadline: Deadline
    ) -> Action | None:
        return cease_watching(
            database.engine,
            taskgroup_id,
            action,
            actor=database.settings.actor,
            note=note,
            now=database.now,
            deadline=deadline,
        )

    return cease


def _resume(
    database: OpenedDatabase, taskgroup_id: str, note: str | None, _deadline: Deadline
) -> Action | None:
    return resume_watching(
        database.engine,
        taskgroup_id,
        actor=database.settings.actor,
        note=note,
        now=database.now,
        rules=database.settings.rules,
    )


unwatch_command = change_command(
    "unwatch",
    "Stop watching groups. Their history is kept.",
    _ceasing(Action.STOPPED),
    unchanged="was stopped already",
)
pause_command = change_command(
    "pause",
    "Stop polling groups until `recorder resume`. The time in between does not count as a gap.",
    _ceasing(Action.PAUSED),
    unchanged="was not being watched",
)
resume_command = change_command(
    "resume",
    "Resume watching groups that were paused, stopped, gone or retired.",
    _resume,
    unchanged="is being watched already",
)


@contextmanager
def _created_database(settings: Settings) -> Iterator[Engine]:
    """Open the recorder's database for writing, as `writable_database` does; create it if it is empty."""
    with opened_database(settings.write_url) as engine:
        state = state_of(engine)
        if state.blank:
            upgrade(engine)
            click.echo(f"created the tables in {display_url(settings.write_url)}", err=True)
        else:
            require_head(state)
        yield engine
