"""What `recorder pause` and `recorder unwatch` share."""

from __future__ import annotations

import click

from recorder.cli.common import checked_ids, with_words, writable_database
from recorder.clock import utc_now
from recorder.ledger.entries import Action
from recorder.settings import load_settings
from recorder.store.enrolment import UnknownGroupError, cease_watching


def ceasing_command(name: str, action: Action, help_text: str) -> click.Command:
    """Make the command that ends the watch of groups by `action`."""

    @click.command(name, help=help_text)
    @click.argument("ids", nargs=-1, required=True, metavar="ID...")
    @click.option("--note", help="Why: kept in the ledger with the entry.")
    @with_words
    def command(ids: tuple[str, ...], note: str | None) -> None:
        if note is not None and not note.isprintable():
            raise click.UsageError("--note: give one line of printable characters")
        good, complaints = checked_ids(list(ids))
        settings = load_settings()
        with writable_database(settings) as engine:
            for taskgroup_id in good:
                try:
                    done = cease_watching(
                        engine, taskgroup_id, action, actor=settings.actor, note=note, at=utc_now()
                    )
                except UnknownGroupError:
                    complaints.append(f"{taskgroup_id}: was never watched")
                else:
                    click.echo(f"{taskgroup_id}: {done.value if done else 'was not being watched'}")
        for complaint in complaints:
            click.echo(f"Error: {complaint}", err=True)
        if complaints:
            raise click.exceptions.Exit(1)

    return command
