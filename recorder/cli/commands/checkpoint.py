"""`recorder checkpoint`: the heads of all ledgers, to be kept where nobody can change them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import click

from recorder.audit.checkpoints import BrokenHeadError, CheckpointHead, checkpoint_lines, read_heads
from recorder.cli.common import readable_database, report_errors
from recorder.cli.output.files import chunks, goes_to_output, out_option, stoppable, written_whole
from recorder.settings import load_settings


@click.command("checkpoint")
@out_option
@report_errors
def command(out: Path | None) -> None:
    """Write the newest entry of every ledger, a line each; with --out FILE also its SHA-256 to FILE.sha256.

    A checkpoint that is kept elsewhere shows later whether anything was cut off or computed anew.
    """
    counter, digest = _Counter(), sha256()
    with stoppable("stopped: the checkpoint is not whole"), readable_database(load_settings()) as connection:
        with closing(read_heads(connection)) as heads, written_whole(out) as write:
            try:
                for chunk in chunks(checkpoint_lines(counter.counted(heads))):
                    digest.update(chunk)
                    write(chunk)
            except BrokenHeadError as error:
                raise click.ClickException(f"{error} (see: recorder verify)") from None
        if out is not None and not goes_to_output(out):
            with written_whole(out.with_name(f"{out.name}.sha256")) as write:
                write(_sum_line(digest.hexdigest(), out.name))
    words = f"{counter.heads:,} head{'' if counter.heads == 1 else 's'}"
    entries = f"{counter.entries:,} entr{'y' if counter.entries == 1 else 'ies'}"
    click.echo(f"{words} of {entries}, sha256 {digest.hexdigest()}", err=True)


class _Counter:
    """How many heads have gone by, and how many entries their ledgers have."""

    def __init__(self) -> None:
        self.heads = 0
        self.entries = 0

    def counted(self, heads: Iterable[CheckpointHead]) -> Iterator[CheckpointHead]:
        for head in heads:
            self.heads += 1
            self.entries += head.seq
            yield head


def _sum_line(digest: str, name: str) -> bytes:
    """Return the line of `sha256sum`, which marks a name in which it had to spell something out."""
    spelt = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    mark = "" if spelt == name else "\\"
    return f"{mark}{digest}  ".encode() + os.fsencode(spelt) + b"\n"
