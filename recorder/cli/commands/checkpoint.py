"""`recorder checkpoint`: the heads of all ledgers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import click

from recorder.audit.checkpoints import BrokenHeadError, CheckpointHead, checkpoint_lines, read_heads
from recorder.audit.file_sums import sum_line, sum_path
from recorder.cli.common import readable_database, report_errors
from recorder.cli.output.files import chunks, goes_to_output, out_option, progress, stoppable, written_whole
from recorder.cli.output.format import count_text
from recorder.settings_loading import load_settings
from recorder.store.groups import ALL_GROUPS, count_groups


@click.command("checkpoint")
@out_option
@report_errors
def command(out: Path | None) -> None:
    """Write the head of every ledger, one per line.

    With --out FILE, the SHA-256 of FILE is written to FILE.sha256 too. A checkpoint kept in a safe place
    shows later whether entries were cut off or a chain was recomputed.
    """
    counter, digest = _Counter(), sha256()
    with (
        stoppable("stopped: the checkpoint is incomplete"),
        readable_database(load_settings(needed=())) as connection,
    ):
        piped = goes_to_output(out)
        with (
            closing(read_heads(connection)) as heads,
            written_whole(out) as write,
            progress("reading heads", count_groups(connection, ALL_GROUPS), beside_output=piped) as advance,
        ):
            try:
                for chunk in chunks(checkpoint_lines(counter.counted(heads))):
                    digest.update(chunk)
                    write(chunk)
                    advance(counter.heads)
            except BrokenHeadError as error:
                raise click.ClickException(f"{error} (see: recorder verify)") from None
        if out is not None and not piped:
            with written_whole(sum_path(out)) as write:
                write(sum_line(digest.hexdigest(), out.name))
    heads_text, entries_text = (
        count_text(counter.heads, "head"),
        count_text(counter.entries, "entry", "entries"),
    )
    click.echo(f"{heads_text} of {entries_text}, sha256 {digest.hexdigest()}", err=True)


class _Counter:
    """Counts heads that pass through, and the entries of their ledgers."""

    def __init__(self) -> None:
        self.heads = 0
        self.entries = 0

    def counted(self, heads: Iterable[CheckpointHead]) -> Iterator[CheckpointHead]:
        for head in heads:
            self.heads += 1
            self.entries += head.seq
            yield head
