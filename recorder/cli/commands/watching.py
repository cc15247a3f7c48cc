"""`recorder watch`, `unwatch`, `pause` and `resume`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

import click
from sqlalchemy import Engine

from recorder.cli.common import checked_ids, report_errors, writable_database
from recorder.clock import utc_now
from recorder.ledger.entries import Action
from recorder.settings import Settings, load_settings
from recorder.store.enrolment import (
    BrokenLedgerError,
    Deadline,
    UnknownGroupError,
    cease_watching,
    resume_watching,
    watch_group,
)

Change = Callable[[Engine, Settings, str, str | None, Deadline], Action | None]
"""Changes the watch of one group (database, settings, id, note, how long to wait for polls under way); None
if it stood so already."""


def change_command(name: str, help_text: str, change: Change, *, stood: str) -> click.Command:
    """Make a command that makes one change to the watches of groups.

    `stood` says of a group that there was nothing to change.
    """

    @click.command(name, help=help_text)
    @click.argument("ids", nargs=-1, required=True, metavar="ID...")
    @click.option("--note", help="Why: kept in the ledger with the entry.")
    @report_errors
    def command(ids: tuple[str, ...], note: str | None) -> None:
        check_note(note)
        good, complaints = checked_ids(list(ids))
        settings = load_settings()
        patience = Deadline()
        with writable_database(settings) as engine:
            for taskgroup_id in good:
                try:
                    action = change(engine, settings, taskgroup_id, note, patience)
                except UnknownGroupError:
                    complaints.append(f"{taskgroup_id}: was never watched")
                    continue
                except BrokenLedgerError as error:
                    complaints.append(broken_words(taskgroup_id, error))
                    continue
                if action is None and note is not None:
                    complaints.append(f"{taskgroup_id}: {stood}, so there is no entry to keep the note with")
                else:
                    click.echo(f"{taskgroup_id}: {action.value if action else stood}")
        end_with(complaints)

    return command


def broken_words(taskgroup_id: str, error: BrokenLedgerError) -> str:
    """Say what is wrong with a group whose watch cannot be changed, and what to do."""
    return f"{taskgroup_id}: {error}; see what is wrong with: recorder verify, and restore a backup"


def check_note(note: str | None) -> None:
    """Refuse a note that would not be one line in a table."""
    if note is not None and not note.isprintable():
        raise click.UsageError("--note: give one line of printable characters")


def end_with(complaints: list[str]) -> None:
    """Print what could not be done, a line each; with any, the command ends with exit status 1."""
    for complaint in complaints:
        click.echo(f"Error: {complaint}", err=True)
    if complaints:
        raise click.exceptions.Exit(1)


@click.command("watch")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--note", help="Why: kept in the ledger with the entry.")
@click.option(
    "--from-file",
    "file",
    type=click.File(encoding="utf-8-sig"),
    help="Read ids from a file, one a line; - for input.",
)
@report_errors
def watch(ids: tuple[str, ...], note: str | None, file: TextIO | None) -> None:
    """Watch groups from now on; those that were paused, stopped, gone or retired are resumed.

    An empty database is made ready first.
    """
    given = [*ids, *_ids_in(file)]
    if not given:
        raise click.UsageError("name at least one group, or --from-file")
    check_note(note)
    good, complaints = checked_ids(given)
    if good:
        settings = load_settings()
        with writable_database(settings, create=True) as engine:
            for taskgroup_id in good:
                complaints += _watch(engine, settings, taskgroup_id, note)
    end_with(complaints)


def _ids_in(file: TextIO | None) -> list[str]:
    if file is None:
        return []
    try:
        lines = [line.strip() for line in file]
    except UnicodeDecodeError:
        raise click.UsageError(f"--from-file: {file.name} is not a text in UTF-8") from None
    return [line for line in lines if line and not line.startswith("#")]


def _watch(engine: Engine, settings: Settings, taskgroup_id: str, note: str | None) -> list[str]:
    """Watch one group and say so; return a complaint if it cannot be, or its note could not be kept."""
    try:
        action = watch_group(
            engine, taskgroup_id, actor=settings.actor, note=note, now=utc_now, rules=settings.rules
        )
    except BrokenLedgerError as error:
        return [broken_words(taskgroup_id, error)]
    if action is None and note is not None:
        return [f"{taskgroup_id}: is being watched already, so there is no entry to keep the note with"]
    words = {Action.STARTED: "watching", Action.RESUMED: "watching again", None: "is being watched already"}
    click.echo(f"{taskgroup_id}: {words[action]}")
    return []


def _stop_watch(
    engine: Engine, settings: Settings, taskgroup_id: str, note: str | None, patience: Deadline
) -> Action | None:
    return cease_watching(
        engine,
        taskgroup_id,
        Action.STOPPED,
        actor=settings.actor,
        note=note,
        now=utc_now,
        deadline=patience,
    )


unwatch = change_command(
    "unwatch", "Stop watching groups. Their history stays.", _stop_watch, stood="was stopped already"
)


def _pause_watch(
    engine: Engine, settings: Settings, taskgroup_id: str, note: str | None, patience: Deadline
) -> Action | None:
    return cease_watching(
        engine,
        taskgroup_id,
        Action.PAUSED,
        actor=settings.actor,
        note=note,
        now=utc_now,
        deadline=patience,
    )


pause = change_command(
    "pause",
    "Stop asking for groups until `recorder resume`; what happens meanwhile is no gap.",
    _pause_watch,
    stood="was not being watched",
)


def _resume_watch(
    engine: Engine, settings: Settings, taskgroup_id: str, note: str | None, _patience: Deadline
) -> Action | None:
    return resume_watching(
        engine, taskgroup_id, actor=settings.actor, note=note, now=utc_now, rules=settings.rules
    )


resume = change_command(
    "resume",
    "Watch groups again that were paused, stopped, gone or retired.",
    _resume_watch,
    stood="is being watched already",
)
