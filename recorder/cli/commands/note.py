"""`recorder note`: write a note into the ledger of a group."""

from __future__ import annotations

import click

from recorder.cli.common import broken_text, check_note, report_errors, writable_database
from recorder.settings_loading import ENROLLING, load_settings
from recorder.store.batches import Deadline
from recorder.store.database_clock import measured_clock
from recorder.store.enrolment import note_group
from recorder.store.watch_changes import BrokenLedgerError, UnknownGroupError


@click.command("note")
@click.argument("taskgroup_id", metavar="ID")
@click.argument("text", metavar="TEXT")
@report_errors
def command(taskgroup_id: str, text: str) -> None:
    """Write a note into the ledger of a group.

    It changes nothing else: the group is polled as before, and the note neither makes nor ends a gap.
    """
    check_note(text, "TEXT")
    if not text.strip():
        raise click.UsageError("TEXT is empty")
    settings = load_settings(ENROLLING)
    with writable_database(settings) as engine:
        now = measured_clock(engine)
        try:
            note_group(engine, taskgroup_id, text, actor=settings.actor, now=now, deadline=Deadline())
        except UnknownGroupError:
            raise click.ClickException(f"{taskgroup_id}: was never watched") from None
        except BrokenLedgerError as error:
            raise click.ClickException(broken_text(taskgroup_id, error)) from None
    click.echo(f"{taskgroup_id}: noted")
