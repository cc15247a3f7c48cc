"""`recorder import`: an export into an empty database."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import BinaryIO

import click

from recorder.audit.importing import load
from recorder.audit.lines import ImportRefusedError
from recorder.cli.children import stop_requests
from recorder.cli.common import shown, with_words, writable_database
from recorder.cli.export import Advance, progress, sizes_text, stoppable
from recorder.clock import utc_now
from recorder.settings import load_settings
from recorder.store.transactions import writing


@click.command("import")
@click.argument("file", metavar="FILE", type=click.File("rb"))
@with_words
def command(file: BinaryIO) -> None:
    """Load an export (- for input) into an empty database, if every line of it verifies; else nothing.

    A database without tables is made ready first.
    """
    settings = load_settings()
    # Once everything has come, a signal must not tell that nothing was written.
    with stop_requests() as asked, writable_database(settings, create=True) as engine:
        try:
            with writing(engine) as connection, stoppable("stopped: nothing was written"):
                if asked():
                    raise KeyboardInterrupt
                with progress("importing", _size(file)) as advance:
                    lines = _told(file, advance)
                    done = load(connection, lines, gap_window=settings.rules.gap_window, now=utc_now)
        except ImportRefusedError as error:
            raise click.ClickException(str(error)) from None
    click.echo(f"{sizes_text(done.entries, done.groups)} imported into {shown(settings.write_url)}")


def _told(file: BinaryIO, advance: Advance) -> Iterator[bytes]:
    done = 0
    for line in file:
        done += len(line)
        advance(done)
        yield line


def _size(file: BinaryIO) -> int | None:
    found = os.fstat(file.fileno())
    return found.st_size if stat.S_ISREG(found.st_mode) else None
