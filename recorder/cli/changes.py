"""What `recorder pause`, `resume` and `unwatch` share: changes to the watches of known groups."""

from __future__ import annotations

from collections.abc import Callable

import click
from sqlalchemy import Engine

from recorder.cli.common import checked_ids, with_words, writable_database
from recorder.ledger.entries import Action
from recorder.settings import Settings, load_settings
from recorder.store.enrolment import BrokenLedgerError, Patience, UnknownGroupError

Change = Callable[[Engine, Settings, str, str | None, Patience], Action | None]
"""Changes the watch of one group (database, settings, id, note, how long to wait for polls under way); None
if it stood so already."""


def change_command(name: str, help_text: str, change: Change, *, stood: str) -> click.Command:
    """Make a command that makes one change to the watches of groups.

    `stood` says of a group that there was nothing to change.
    """

    @click.command(name, help=help_text)
    @click.argument("ids", nargs=-1, required=True, metavar="ID...")
    @click.option("--note", help="Why: kept in the ledger with the entry.")
    @with_words
    def command(ids: tuple[str, ...], note: str | None) -> None:
        check_note(note)
        good, complaints = checked_ids(list(ids))
        settings = load_settings()
        patience = Patience()
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
