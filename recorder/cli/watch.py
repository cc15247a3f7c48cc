"""`recorder watch`: enrol groups."""

from __future__ import annotations

from typing import TextIO

import click
from sqlalchemy import Engine

from recorder.cli.changes import broken_words, check_note, end_with
from recorder.cli.common import checked_ids, with_words, writable_database
from recorder.clock import utc_now
from recorder.ledger.entries import Action
from recorder.settings import Settings, load_settings
from recorder.store.enrolment import BrokenLedgerError, watch_group


@click.command("watch")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--note", help="Why: kept in the ledger with the entry.")
@click.option(
    "--from-file",
    "file",
    type=click.File(encoding="utf-8-sig"),
    help="Read ids from a file, one a line; - for input.",
)
@with_words
def command(ids: tuple[str, ...], note: str | None, file: TextIO | None) -> None:
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
