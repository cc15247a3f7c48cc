"""Where commands find ids besides their arguments: a file, a folder, or the text on standard input."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

from recorder.cli.given_ids import GivenIds, check_given
from recorder.enrolment_folder import EnrolmentFolder, EnrolmentLine, created_groups
from recorder.ledger.group_id import check_taskgroup_id

from_file_option = click.option(
    "--from-file",
    "source",
    metavar="FILE",
    type=click.Path(exists=True, allow_dash=True, path_type=Path),
    help="Read ids from a file, one per line; from a folder that recorder.sdk writes to; or from any text on "
    "standard input (-).",
)
exact_lines_option = click.option(
    "--exact", is_flag=True, help="Take each line of a file or of standard input (-) as an id, as it is."
)


def given_ids(
    ids: Sequence[str], source: Path | None, check: Callable[[str], str], *, exact: bool
) -> GivenIds:
    """Return the ids that are arguments of a command, checked by `check`, and those in a source.

    The argument - means standard input.

    Raises:
        UsageError: the source cannot be read.
    """
    given = GivenIds()
    given.add((text for text in ids if text != "-"), check)
    if "-" in ids:
        read_source(Path("-"), given, exact=exact)
    if source is not None:
        read_source(source, given, exact=exact)
    return given


def require_ids(given: GivenIds, ids: Sequence[str], source: Path | None) -> None:
    """Refuse to go on without any id; only a folder may be empty.

    Raises:
        UsageError: none was given.
    """
    if given.ids or given.created or given.complaints or (source is not None and source.is_dir()):
        return
    if source is not None and str(source) != "-":
        raise click.UsageError(f"--from-file: {source} has no ids; a file has one per line")
    if ids or source:
        raise click.UsageError("standard input has no ids; a text has tgrp_… or links to groups")
    raise click.UsageError("name at least one group, or give --from-file")


def known_ids(ids: Sequence[str], source: Path | None, *, exact: bool) -> tuple[list[str], list[str]]:
    """Return the ids for a command that changes known groups, and complaints about texts that are no ids.

    Raises:
        UsageError: none was given, or the source cannot be read.
    """
    given = given_ids(ids, source, check_taskgroup_id, exact=exact)
    require_ids(given, ids, source)
    return list(dict.fromkeys([*given.ids, *given.created])), given.complaints


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
