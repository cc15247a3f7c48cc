"""`recorder note`: write a note into the ledgers of groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from recorder.cli.common import check_note, report_errors
from recorder.cli.group_changes import OpenedDatabase, Wording, change_groups
from recorder.cli.id_sources import exact_lines_option, from_file_option, known_ids
from recorder.ledger.entries import Action
from recorder.store.batches import Deadline
from recorder.store.enrolment import note_groups
from recorder.store.watch_changes import WatchOutcomes

_WORDING = Wording({Action.NOTED: "noted"}, unchanged="was not noted")


@click.command("note")
@click.argument("words", nargs=-1, required=True, metavar="[ID] TEXT")
@from_file_option
@exact_lines_option
@report_errors
def command(words: tuple[str, ...], source: Path | None, *, exact: bool) -> None:
    """Write a note into the ledger of a group, or of each group in a file.

    It changes nothing else: the group is polled as before, and the note neither makes nor ends a gap. With -
    in place of ID, the ids and links to groups in the text on standard input are used.
    """
    *ids, text = words
    if len(ids) > 1:
        raise click.UsageError("give one ID and one TEXT; a TEXT of several words needs quotation marks")
    if not ids and source is None:
        raise click.UsageError("give an ID and a TEXT, or a TEXT and --from-file")
    check_note(text, "TEXT")
    if not text.strip():
        raise click.UsageError("TEXT is empty")
    good, complaints = known_ids(ids, source, exact=exact)
    change_groups(good, complaints, _note, _WORDING, text)


def _note(database: OpenedDatabase, ids: Sequence[str], text: str | None) -> Iterator[WatchOutcomes]:
    return note_groups(
        database.engine, ids, text or "", actor=database.settings.actor, now=database.now, deadline=Deadline()
    )
