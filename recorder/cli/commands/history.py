"""`recorder history`: a group's ledger as a logbook."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import click
from rich import box
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection

from recorder.cli.common import report_errors
from recorder.cli.output.console import answer, console, json_option, plain, print_json, print_more, query_of
from recorder.cli.output.format import (
    action_style,
    cause_text,
    failed_text,
    lasted_text,
    phase_text,
    runs_text,
    show_time,
    until_text,
)
from recorder.cli.output.history_text import Said, status_words, watch_words
from recorder.clock import utc_now
from recorder.ledger.entries import Kind, WatchChange
from recorder.queries.groups import progress_body, require_watch
from recorder.queries.history import HistoryQuery, Line, history_request, line_body, read_page
from recorder.queries.paging import Page
from recorder.store.history import Item, StatusItem, find_entries, statuses_before


@click.command("history")
@click.argument("taskgroup_id", metavar="ID")
@click.option("--from", "from_", metavar="TIME", help="Only what was so at or after this time.")
@click.option("--to", metavar="TIME", help="Only what was so before this time.")
@click.option("--kind", help="Only entries of these kinds, separated by commas: watch, status, gap.")
@click.option("--anomaly", help="Only entries with one of these anomalies, separated by commas.")
@click.option("--order", help="asc (oldest first, as without it) or desc.")
@click.option("--limit", help="How many at most, 100 unless told.")
@click.option("--cursor", help="Where to go on, as the page before says.")
@json_option
@report_errors
def command(taskgroup_id: str, as_json: bool, from_: str | None, **options: str | None) -> None:
    """Print the entries of a group's ledger: what changed from each to the next."""
    query = query_of(HistoryQuery, {"from": from_, **options})
    ledger = Ledger()

    def question(connection: Connection, now: datetime) -> Page[Line]:
        watch = require_watch(connection, taskgroup_id).watch
        page = read_page(connection, watch, history_request(taskgroup_id, query), now)
        if not as_json:
            ledger.read(connection, taskgroup_id, [line for line in page.items if isinstance(line, Item)])
        return page

    page = answer(question)
    body = page.body(line_body)
    if as_json:
        print_json(body)
        return
    console().print(_table(body["items"], ledger, utc_now()))
    print_more(page.cursor)


@dataclass(slots=True)
class Ledger:
    """The entries of a page and those they are compared with, whether these are on the page or not."""

    entries: dict[int, Item] = field(default_factory=dict)
    statuses_before: dict[int, int] = field(default_factory=dict)

    def read(self, connection: Connection, taskgroup_id: str, items: list[Item]) -> None:
        """Take the entries of a page, and read the others that they are compared with."""
        compared = [item.seq for item in items if item.kind is not Kind.GAP]
        self.statuses_before = statuses_before(connection, taskgroup_id, compared)
        self.entries = {item.seq: item for item in items}
        others = {*(seq - 1 for seq in compared), *self.statuses_before.values()} - self.entries.keys()
        self.entries |= find_entries(connection, taskgroup_id, others)

    def words(self, seq: int) -> str:
        """What a watch or status entry says that those before it did not."""
        said, follows = self.entries[seq].content, self.entries.get(seq - 1)
        if isinstance(said, WatchChange):
            change = None if follows is None else follows.content
            return watch_words(said, change if isinstance(change, WatchChange) else None)
        before = self.entries.get(self.statuses_before.get(seq, 0))
        return status_words(
            None if before is None else _said(before),
            _said(self.entries[seq]),
            None if follows is None else follows.kind,
        )


def _said(item: Item) -> Said:
    if not isinstance(item.content, StatusItem):
        raise TypeError(f"entry {item.seq} is no status")
    return Said(item.content.fields.phase, item.content.value)


def _table(items: list[dict[str, Any]], ledger: Ledger, now: datetime) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
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
            table.add_row(str(item["seq"]), *row(item, ledger.words(item["seq"])))
    return table


def _gap_row(gap: dict[str, Any], now: datetime) -> list[str | Text]:
    words = cause_text(gap).append(f", {failed_text(gap['attempts'])}, {lasted_text(gap, now)}")
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
