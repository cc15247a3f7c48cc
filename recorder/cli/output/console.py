"""What the reading commands share: querying the database, and printing JSON or tables."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, cast

import click
from pydantic import ValidationError
from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text
from sqlalchemy import Connection

from recorder.cli.common import readable_database
from recorder.queries.json_output import dumps
from recorder.queries.paging import ForeignCursorError
from recorder.queries.query import Query
from recorder.settings_loading import load_settings
from recorder.store.data_time import data_time
from recorder.store.watch_changes import UnknownGroupError

_Answer = TypeVar("_Answer")
_Query = TypeVar("_Query", bound=Query)
_Command = TypeVar("_Command", bound=Callable[..., Any])

_PIPED_WIDTH = 160
_BETWEEN = 2
"""How many columns of the terminal are between two of a table."""
_OLD_SECONDS = 10
_OLD_DATA = "Note: the data is {:.0f} s old: the database is a standby that is behind its primary"

json_option = click.option("--json", "as_json", is_flag=True, help="Print the JSON that the API returns.")
order_option = click.option("--order", help="asc (oldest first, the default) or desc (newest first).")
_limit_option = click.option("--limit", help="The maximum number to show, 100 by default.")
_cursor_option = click.option("--cursor", help="Continue after a page, with the cursor that it printed.")


def page_options(command: _Command) -> _Command:
    """Add --limit, --cursor and --json, the options of a command that prints a page of a list."""
    return _limit_option(_cursor_option(json_option(command)))


def metadata_options(labels: Iterable[str]) -> dict[str, str]:
    """Return the values of --metadata, each KEY=VALUE, by key.

    Raises:
        UsageError: one is of another form, or a key is given twice.
    """
    selected: dict[str, str] = {}
    for label in labels:
        key, separator, value = label.partition("=")
        if not key or not separator:
            raise click.UsageError(f"--metadata {label[:80]!a} is not of the form KEY=VALUE")
        if key in selected:
            raise click.UsageError(f"--metadata {key[:80]!a} is given twice; give it once")
        selected[key] = value
    return selected


def query_of(kind: type[_Query], given: Mapping[str, Any]) -> _Query:
    """Parse options as the API parses its parameters of the same names.

    Raises:
        UsageError: an option is invalid.
    """
    try:
        return kind.parse({name: text for name, text in given.items() if text is not None})
    except ValidationError as error:
        lines = [
            f"--{str(detail['loc'][0]).replace('_', '-')} {detail['msg']}"
            for detail in error.errors(include_url=False)
        ]
        raise click.UsageError("; ".join(lines)) from None


def answer(question: Callable[[Connection, datetime], _Answer]) -> _Answer:
    """Return the answer to `question`, which reads from one snapshot of the database.

    It is given the moment by which to judge the data. If that is long ago, a line on standard error says so.
    """
    try:
        with readable_database(load_settings(needed=())) as connection:
            time = data_time(connection)
            if time.age_seconds >= _OLD_SECONDS:
                click.echo(_OLD_DATA.format(time.age_seconds), err=True)
            return question(connection, time.at)
    except UnknownGroupError as error:
        raise click.ClickException(str(error)) from None
    except ForeignCursorError:
        raise click.UsageError("--cursor belongs to another query") from None


def print_json(body: dict[str, Any]) -> None:
    sys.stdout.buffer.write(dumps(body) + b"\n")


def console() -> Console:
    """Return the console for tables, with a fixed width if standard output is not a terminal."""
    opened = Console(highlight=False)
    return opened if opened.is_terminal else Console(highlight=False, width=_PIPED_WIDTH)


def plain(text: object) -> Text:
    """Return a text with its control characters escaped, so that it cannot control the terminal."""
    return Text("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text)))


def column_table() -> Table:
    """Return an empty table with a line below its headings and no frame."""
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))


def field_table(fields: Mapping[str, str | Text]) -> Table:
    """Return a table with a line for each field: its name and its value."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in fields.items():
        table.add_row(name, value)
    return table


def print_table(out: Console, table: Table) -> None:
    """Print a table, or where it would not fit, the fields of each of its rows as a list."""
    least = [_width(out, column, whole=False) for column in table.columns]
    spare = out.width - sum(least) - _BETWEEN * (len(least) - 1)
    if spare >= 0:
        # Left to itself, the table would break words in one column while another has room.
        wanting = [
            (_width(out, column, whole=True) - width, number)
            for number, (column, width) in enumerate(zip(table.columns, least, strict=True))
        ]
        for place, (want, number) in enumerate(sorted(wanting)):
            more = min(want, spare // (len(wanting) - place))
            table.columns[number].width, spare = least[number] + more, spare - more
        out.print(table)
        return
    headings = [str(column.header).replace("\n", " ") for column in table.columns]
    for number, row in enumerate(zip(*(column.cells for column in table.columns), strict=True)):
        fields = zip(headings, row, strict=True)
        if number:
            out.print()
        out.print(field_table({name: cast("str | Text", cell) for name, cell in fields if str(cell)}))


def _width(out: Console, column: Column, *, whole: bool) -> int:
    """Return how wide a column is with `whole` lines, or so narrow that no word is broken."""
    whole = whole or column.no_wrap
    cells = [out.measure(cast("str | Text", cell)) for cell in (column.header, *column.cells)]
    return column.width or max(cell.maximum if whole else cell.minimum for cell in cells)


def print_more(cursor: str | None) -> None:
    """Print the command that shows the next page, if there is one."""
    if cursor is not None:
        words = [*_without_cursor(sys.argv[1:]), "--cursor", cursor]
        click.echo(f"there is more: {shlex.join(['recorder', *words])}")


def _without_cursor(words: Sequence[str]) -> Iterator[str]:
    """Yield the words of a command without its option --cursor."""
    left = iter(words)
    for word in left:
        if word == "--cursor":
            next(left, None)
        elif not word.startswith("--cursor="):
            yield word
