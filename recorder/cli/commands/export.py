"""`recorder export`: whole ledgers as lines of JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import click
from sqlalchemy import Connection

from recorder.audit.export_format import OPEN_LINE
from recorder.audit.exporter import ExportError, entries_of_groups, export_lines
from recorder.cli.common import archived_text, checked_ids, exit_with, readable_database, report_errors
from recorder.cli.output.files import (
    chunks,
    goes_to_output,
    out_option,
    progress,
    sizes_text,
    stoppable,
    written_whole,
)
from recorder.settings_loading import load_settings
from recorder.store.groups import count_entries
from recorder.store.tombstones import find_tombstones


@click.command("export")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@out_option
@report_errors
def command(ids: tuple[str, ...], out: Path | None) -> None:
    """Export whole ledgers as JSON lines that anyone can verify: all, or those of the given groups."""
    with (
        stoppable("stopped: the export is incomplete"),
        readable_database(load_settings(needed=())) as connection,
    ):
        selected, total = _selected(connection, ids)
        sizes = _Sizes()
        piped = goes_to_output(out)
        progressing = progress("exporting", total, beside_output=piped)
        with (
            closing(export_lines(connection, selected)) as lines,
            written_whole(out) as write,
            progressing as advance,
        ):
            try:
                for chunk in chunks(sizes.counted(lines)):
                    write(chunk)
                    advance(sizes.entries)
            except ExportError as error:
                raise click.ClickException(f"{error} (see: recorder verify)") from None
    if not piped:
        click.echo(f"{sizes_text(sizes.entries, sizes.groups)} exported to {out}")


class _Sizes:
    """Counts the entries and groups of an export that pass through."""

    def __init__(self) -> None:
        self.entries = 0
        self.groups = 0

    def counted(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        for line in lines:
            if line.startswith(OPEN_LINE):
                self.groups += 1
            else:
                self.entries += 1
            yield line


def _selected(connection: Connection, ids: Iterable[str]) -> tuple[list[str] | None, int]:
    """Return the groups to export (None for all) and the number of their entries."""
    if not ids:
        return None, count_entries(connection)
    good, complaints = checked_ids(list(ids))
    found = entries_of_groups(connection, good)
    absent = [taskgroup_id for taskgroup_id in good if taskgroup_id not in found]
    archived = find_tombstones(connection, absent)
    complaints += [archived_text(one) if one in archived else f"{one}: was never watched" for one in absent]
    exit_with(complaints)
    return good, sum(found.values())
