"""Write files, show progress and stop cleanly, for the commands that read or write whole ledgers."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import click
from rich.console import Console
from rich.progress import Progress, TaskID

from recorder.cli.output.format import count_text
from recorder.processes import STOP_SIGNALS

Write = Callable[[bytes], None]

Advance = Callable[[int], None]
"""Sets how much is done so far."""

_CHUNK = 65536
_TELL_SECONDS = 10.0

out_option = click.option(
    "--out",
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write to this file, which appears only when complete (- for standard output).",
)


def sizes_text(entries: int, groups: int) -> str:
    """Return the numbers of entries and groups as text."""
    return f"{count_text(entries, 'entry', 'entries')} in {count_text(groups, 'group')}"


def chunks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Join lines into chunks that are large enough to write at once."""
    gathered, size = [], 0
    for line in lines:
        gathered.append(line)
        size += len(line)
        if size >= _CHUNK:
            yield b"".join(gathered)
            gathered, size = [], 0
    yield b"".join(gathered)


def goes_to_output(out: Path | None) -> bool:
    """Return whether `out` means standard output."""
    return out is None or str(out) == "-"


@contextmanager
def written_whole(out: Path | None) -> Iterator[Write]:
    """Yield a function that writes to standard output, or to a file that appears once the block succeeds.

    Until then, a temporary file beside it has the content. Writes are not buffered: flushing on an early exit
    could block for ever if the reader of a pipe has stopped reading.
    """
    if out is None or goes_to_output(out):
        yield partial(_write_all, sys.stdout.fileno())
        return
    target = out.resolve()
    named = target.exists() and not target.is_file()
    beside = target if named else target.with_name(f".recorder-{secrets.token_hex(6)}.part")
    with _opened(beside, out) as file:
        try:
            yield partial(_write_all, file.fileno(), called=str(out))
            if not named:
                os.fsync(file.fileno())
                beside.replace(target)
        finally:
            if not named:
                beside.unlink(missing_ok=True)


def _opened(path: Path, called: Path) -> BinaryIO:
    try:
        return path.open("wb", buffering=0)
    except OSError as error:
        raise click.ClickException(f"{called}: {error.strerror or error}") from None


def _write_all(descriptor: int, data: bytes, called: str | None = None) -> None:
    """Write all of the data; an error names the file as it is `called`."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError as error:
        error.filename = called
        raise


@contextmanager
def progress(label: str, total: int | None, *, beside_output: bool = False) -> Iterator[Advance]:
    """Show a progress bar on a terminal until the block ends; `total` is None if unknown.

    With `beside_output`, show none if standard output goes to the terminal too.
    """
    shown = sys.stderr.isatty() and not (beside_output and sys.stdout.isatty())
    columns = Progress.get_default_columns()
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def told_progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on a terminal; elsewhere, print a line about it now and then, and when it is done.

    The function that it yields takes how much is done, and how much there is.
    """
    with phases() as tell:
        told = time.monotonic()

        def show(done: int, total: int) -> None:
            nonlocal told
            tell(label, done, total)
            if not sys.stderr.isatty() and (done == total or time.monotonic() - told >= _TELL_SECONDS):
                told = time.monotonic()
                click.echo(f"{label}: {done:,} of {total:,}", err=True)

        yield show


@contextmanager
def phases() -> Iterator[Callable[[str, int, int], None]]:
    """Show a progress bar for each phase of some work on a terminal, until the block ends.

    The function that it yields takes the phase, how much of it is done, and how much there is.
    """
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        tasks: dict[str, TaskID] = {}

        def tell(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = bar.add_task(phase, total=total)
            bar.update(tasks[phase], completed=done, total=total)

        yield tell


@contextmanager
def stoppable(message: str) -> Iterator[None]:
    """Let a signal to stop end the block at once, with exit status 1 and `message`."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in STOP_SIGNALS}
    try:
        yield
    except KeyboardInterrupt:
        raise click.ClickException(message) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
