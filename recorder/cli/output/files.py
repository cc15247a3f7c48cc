"""Writing files and showing progress: shared by the commands around files."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import click
from rich.console import Console
from rich.progress import Progress

from recorder.processes import STOP_SIGNALS

Write = Callable[[bytes], None]


Advance = Callable[[int], None]
"""Says how much is done by now."""


_CHUNK = 65536


out_option = click.option(
    "--out",
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write to this file, which has its name once it is whole; - for output.",
)


def sizes_text(entries: int, groups: int) -> str:
    """Return how much there is, in words."""
    return f"{entries:,} entr{'y' if entries == 1 else 'ies'} in {groups:,} group{'' if groups == 1 else 's'}"


def chunks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Join lines to pieces that are worth a write."""
    gathered, size = [], 0
    for line in lines:
        gathered.append(line)
        size += len(line)
        if size >= _CHUNK:
            yield b"".join(gathered)
            gathered, size = [], 0
    yield b"".join(gathered)


def goes_to_output(out: Path | None) -> bool:
    """Whether what is written goes to standard output."""
    return out is None or str(out) == "-"


@contextmanager
def written_whole(out: Path | None) -> Iterator[Write]:
    """Yield what writes to standard output, or to a file that has its name once the block ends well.

    Until then its content lies beside it. Nothing is held back that would have to be written when the
    block is left early: a reader that has stopped reading must not keep us from ending.
    """
    if out is None or goes_to_output(out):
        yield partial(_write_all, sys.stdout.fileno())
        return
    target = out.resolve()
    named = target.exists() and not target.is_file()
    beside = target if named else target.with_name(f".recorder-{secrets.token_hex(6)}.part")
    with _opened(beside, out) as file:
        try:
            yield partial(_write_all, file.fileno())
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


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


@contextmanager
def progress(words: str, total: int | None, *, beside_output: bool = False) -> Iterator[Advance]:
    """Show on a terminal how far something is, until the block ends; `total` is None if nobody knows.

    With `beside_output` nothing is shown if that would be mixed with standard output in one terminal.
    """
    shown = sys.stderr.isatty() and not (beside_output and sys.stdout.isatty())
    columns = Progress.get_default_columns()
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as bar:
        task = bar.add_task(words, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def stoppable(words: str) -> Iterator[None]:
    """Let a signal to stop end the block at once, wherever it waits, with these words and exit status 1."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in STOP_SIGNALS}
    try:
        yield
    except KeyboardInterrupt:
        raise click.ClickException(words) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
