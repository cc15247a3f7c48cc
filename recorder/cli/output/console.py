"""What the reading commands share: one snapshot, the API's answer, as JSON or as a picture for people."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import click
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text
from sqlalchemy import Connection

from recorder.cli.common import readable_database
from recorder.clock import utc_now
from recorder.queries.json_output import dumps
from recorder.queries.paging import ForeignCursorError
from recorder.queries.params import Query
from recorder.settings import load_settings
from recorder.store.enrolment import UnknownGroupError

_Answer = TypeVar("_Answer")
_Query = TypeVar("_Query", bound=Query)

_PIPED_WIDTH = 160

json_option = click.option("--json", "as_json", is_flag=True, help="Print what the API answers.")


def query_of(kind: type[_Query], given: Mapping[str, str | None]) -> _Query:
    """Check options as the API checks its parameters of the same names."""
    try:
        return kind.parse({name: text for name, text in given.items() if text is not None})
    except ValidationError as error:
        lines = [
            f"--{str(detail['loc'][0]).replace('_', '-')} {detail['msg']}"
            for detail in error.errors(include_url=False)
        ]
        raise click.UsageError("; ".join(lines)) from None


def answer(question: Callable[[Connection, datetime], _Answer]) -> _Answer:
    """Return the answer to `question`, which reads from one snapshot of the database."""
    try:
        with readable_database(load_settings()) as connection:
            return question(connection, utc_now())
    except UnknownGroupError as error:
        raise click.ClickException(str(error)) from None
    except ForeignCursorError:
        raise click.UsageError("--cursor is of another query") from None


def print_json(body: dict[str, Any]) -> None:
    sys.stdout.buffer.write(dumps(body) + b"\n")


def console() -> Console:
    """Return what to print tables on; without a terminal they are as wide as they need to be."""
    opened = Console(highlight=False)
    return opened if opened.is_terminal else Console(highlight=False, width=_PIPED_WIDTH)


def plain(text: object) -> Text:
    """Return a text of the upstream's or a user's so that nothing in it steers the terminal."""
    return Text("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text)))


def print_more(cursor: str | None) -> None:
    """Print how to get the next page, if there is one."""
    if cursor is not None:
        click.echo(f"there is more: repeat the command with --cursor {cursor}")
