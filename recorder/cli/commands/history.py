"""`recorder history`: the entries of a group's ledger."""

from __future__ import annotations

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
    query_of,
)
from recorder.cli.output.format import (
    action_style,
    cause_text,
    count_text,
    lasted_text,
    phase_text,
    runs_text,
    show_time,
    until_text,
)
from recorder.clock import utc_now
from recorder.ledger.anomalies import Anomaly
from recorder.ledger.entries import Kind
from recorder.queries.descriptions import Descriptions
from recorder.queries.groups import progress_body, require_watch
from recorder.queries.history import HistoryQuery, Line, history_request, line_body, read_page
from recorder.queries.paging import Page
from recorder.store.history import Item


@click.command("history")
@click.argument("taskgroup_id", metavar="ID")
@click.option("--from", "from_", metavar="TIME", help="Only entries that held at this time or later.")
@click.option("--to", metavar="TIME", help="Only entries from before this time.")
@click.option("--kind", help="Only entries of these kinds, separated by commas: watch, status, gap.")
@click.option(
    "--anomaly", help=f"Only entries with one of these anomalies, separated by commas: {', '.join(Anomaly)}."
)
@order_option
@page_options
@report_errors
def command(taskgroup_id: str, as_json: bool, from_: str | None, **options: str | None) -> None:
    """Show the entries of a group's ledger: what changed from each to the next."""
    query = query_of(HistoryQuery, {"from": from_, **options})
    descriptions = Descriptions()

    def question(connection: Connection, now: datetime) -> Page[Line]:
        watch = require_watch(connection, taskgroup_id).watch
        page = read_page(connection, watch, history_request(taskgroup_id, query), now)
        if not as_json:
            descriptions.read(
                connection, taskgroup_id, [item for item in page.items if isinstance(item, Item)]
            )
        return page

    page = answer(question)
    body = page.body(line_body)
    if as_json:
        print_json(body)
        return
    console().print(_table(body["items"], descriptions, utc_now()))
    print_more(page.cursor)


def _table(items: list[dict[str, Any]], descriptions: Descriptions, now: datetime) -> Table:
    table = column_table()
    table.add_column("seq", justify="right", no_wrap=True)
    table.add_column("from (UTC)", no_wrap=True)
    table.add_column("entry", no_wrap=True)
    table.add_column("runs", justify="right", no_wrap=True)
    table.add_column("what", overflow="fold")
    table.add_column("until", justify="right", no_wrap=True)
    table.add_column("polls", justify="right", no_wrap=True)
    for item in items:
        if item["kind"] == Kind.GAP:
            table.add_row("" if item["seq"] is None else str(item["seq"]), *_gap_row(item["gap"], now))
        else:
            row = _watch_row if item["kind"] == Kind.WATCH else _status_row
            table.add_row(str(item["seq"]), *row(item, descriptions.of(item["seq"])))
    return table


def _gap_row(gap: dict[str, Any], now: datetime) -> list[str | Text]:
    words = cause_text(gap).append(f", {count_text(gap['attempts'], 'failed poll')}, {lasted_text(gap, now)}")
    until = until_text(gap["to"], gap["from"]) or Text("open", style="bold red")
    return [show_time(gap["from"]), Text("gap", style="red"), "", words, until, ""]


def _watch_row(item: dict[str, Any], words: str) -> list[str | Text]:
    entry = Text("watch", style=action_style(item["watch"]["action"]))
    return [show_time(item["at"]), entry, "", plain(words), "", ""]


def _status_row(item: dict[str, Any], words: str) -> list[str | Text]:
    what = plain(words)
    if item["anomalies"]:
        what.append(f" [{', '.join(item['anomalies'])}]", style="magenta")
    return [
        show_time(item["observed_at"]),
        phase_text(item["phase"]),
        runs_text(progress_body(item["status"])),
        what,
        until_text(item["last_seen_at"], item["observed_at"]),
        str(item["polls"]),
    ]
