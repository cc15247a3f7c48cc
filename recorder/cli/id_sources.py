"""Where `recorder watch` finds ids besides its arguments: a file, a folder, or the text on standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from recorder.cli.given_ids import GivenIds, check_given
from recorder.enrolment_folder import EnrolmentFolder, EnrolmentLine, created_groups
from recorder.ledger.group_id import check_taskgroup_id


def read_source(source: Path, given: GivenIds, *, exact: bool) -> None:
    """Add the ids in a file, a folder, or standard input (-).

    A file has an id a line, and standard input any text; with `exact`, both have an id a line, as it is.

    Raises:
        UsageError: the source cannot be read.
    """
    if str(source) == "-" and not exact:
        given.add_text(line.decode(errors="replace") for line in sys.stdin.buffer)
    elif source.is_dir():
        _read_folder(source, given)
    else:
        given.add(_lines(source), check_taskgroup_id if exact else check_given)


def _read_folder(folder: Path, given: GivenIds) -> None:
    """Add the groups that programs have created, and the runs that they have added to them."""
    lines: list[EnrolmentLine] = []
    reader = EnrolmentFolder(folder)
    try:
        while True:
            content = reader.read()
            lines += content.lines
            given.complaints += content.complaints
            if not content.more:
                break
    except OSError as error:
        raise click.UsageError(f"--from-file: {folder}: {error.strerror or error}") from None
    given.created |= created_groups(lines)


def _lines(source: Path) -> Iterator[str]:
    """Yield the lines of a file without white space around them, empty ones and comments left out."""
    try:
        data = sys.stdin.buffer.read() if str(source) == "-" else source.read_bytes()
        lines = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise click.UsageError(f"--from-file: {source} is not a text file in UTF-8") from None
    except OSError as error:
        raise click.UsageError(f"--from-file: {source}: {error.strerror or error}") from None
    stripped = (line.strip() for line in lines)
    return (line for line in stripped if line and not line.startswith("#"))
