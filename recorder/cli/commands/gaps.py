"""`recorder gaps`: when a group could not be observed, and its coverage."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection

from recorder.cli.common import report_errors
from recorder.cli.output.console import (
    answer,
    column_table,
    console,
    order_option,
    page_options,
    plain,
    print_json,
    print_more,
    print_table,
    query_of,
)
from recorder.cli.output.format import cause_text, duration_text, lasted_text, show_time, until_text
from recorder.clock import utc_now
from recorder.ledger.transitions import open_gap
from recorder.queries.gaps import GapsQuery, gaps_body, gaps_request
from recorder.queries.groups import require_watch
from recorder.queries.history import read_page
from recorder.store.history import count_gaps_of


@click.command("gaps")
@click.argument("taskgroup_id", metavar="ID")
@click.option("--from", "from_", metavar="TIME", help="Only gaps that lasted until this time or later.")
@click.option("--to", metavar="TIME", help="Only gaps that began before this time.")
@order_option
@page_options
@report_errors
def command(taskgroup_id: str, as_json: bool, from_: str | None, **options: str | None) -> None:
    """Show when a group could not be observed, and why."""
    query = query_of(GapsQuery, {"from": from_, **options})
    found = answer(lambda connection, now: _found(connection, taskgroup_id, query, now))
    if as_json:
        print_json(found.body)
        return
    if found.body["items"]:
        print_table(console(), _table(found.body["items"], utc_now()))
    elif found.closed or found.lasting:
        click.echo("no gaps in this period")
    click.echo(coverage_text(found.body["coverage"], found.closed, lasting=found.lasting))
    print_more(found.cursor)


@dataclass(frozen=True, slots=True)
class _Found:
    """A page of gaps; how many of the group's gaps have ended, and whether one is still open."""

    body: dict[str, Any]
    cursor: str | None
    closed: int
    lasting: bool


def _found(connection: Connection, taskgroup_id: str, query: GapsQuery, now: datetime) -> _Found:
    watch = require_watch(connection, taskgroup_id).watch
    page = read_page(connection, watch, gaps_request(taskgroup_id, query), now)
    body = gaps_body(connection, watch, page)
    closed = count_gaps_of(connection, taskgroup_id)
    return _Found(body, page.cursor, closed, lasting=open_gap(watch, now) is not None)


def coverage_text(coverage: dict[str, Any], closed: int, *, lasting: bool) -> str:
    """Return how much of the time for which a group was watched it was also seen.

    `closed` is the number of its gaps that have ended. A gap that is still open (`lasting`) is in no figure.
    """
    gaps = f"{closed or 'no'} gap{'' if closed == 1 else 's'}"
    if lasting:
        gaps += ", and one still open, which is not counted yet"
    if coverage["fraction"] is None:
        return f"no time watched yet; {gaps}"
    seen, watched = (duration_text(coverage[f"{name}_seconds"]) for name in ("observed", "watched"))
    return f"seen for {seen} of {watched} watched ({_percent(coverage['fraction'])}); {gaps}"


def _percent(fraction: float) -> str:
    """Return a percentage, rounded down so that only all is 100 % and only nothing is 0 %."""
    cut = math.floor(fraction * 1000) / 10
    return "less than 0.1 %" if fraction > cut == 0 else f"{cut:g} %"


def _table(items: list[dict[str, Any]], now: datetime) -> Table:
    table = column_table()
    table.add_column("seq", justify="right", no_wrap=True)
    for heading in ("from (UTC)", "to"):
        table.add_column(heading, no_wrap=True)
    table.add_column("cause", no_wrap=True)
    for heading in ("lasted", "failed\npolls", "not polled\nfor"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("last failure", overflow="fold")
    for item in items:
        table.add_row("" if item["seq"] is None else str(item["seq"]), *_row(item, now))
    return table


def _row(item: dict[str, Any], now: datetime) -> list[str | Text]:
    return [
        show_time(item["from"]),
        Text("open", style="bold red") if item["to"] is None else until_text(item["to"], item["from"]),
        cause_text(item),
        lasted_text(item, now),
        str(item["attempts"]),
        duration_text(item["unpolled_seconds"]),
        plain(item["detail"] or ""),
    ]
