"""`recorder history`: the entries of a group's ledger."""

from __future__ import annotations

from typing import Any

import click
from rich import box
from rich.table import Table
from rich.text import Text

from api.answers import history_answer
from api.queries import HistoryQuery
from recorder.cli.answers import answer, console, json_option, plain, print_json, print_more, query_of
from recorder.cli.common import with_words
from recorder.cli.tables import counts_text, phase_text, time_text, until_text


@click.command("history")
@click.argument("taskgroup_id", metavar="ID")
@click.option("--from", "from_", metavar="TIME", help="Only what was so at or after this time.")
@click.option("--to", metavar="TIME", help="Only what was so before this time.")
@click.option("--kind", help="Only entries of these kinds, separated by commas: watch, status, gap.")
@click.option("--order", help="asc (oldest first, as without it) or desc.")
@click.option("--limit", help="How many at most, 100 unless told.")
@click.option("--cursor", help="Where to go on, as the page before says.")
@json_option
@with_words
def command(taskgroup_id: str, as_json: bool, from_: str | None, **options: str | None) -> None:
    """Print the entries of a group's ledger."""
    query = query_of(HistoryQuery, {"from": from_, **options})
    body = answer(lambda connection, now: history_answer(connection, taskgroup_id, query, now))
    if as_json:
        print_json(body)
        return
    console().print(_table(body["items"]))
    print_more(body)


def _table(items: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("seq", justify="right", no_wrap=True)
    table.add_column("from (UTC)", no_wrap=True)
    table.add_column("entry", no_wrap=True)
    table.add_column("what", overflow="fold")
    table.add_column("until", justify="right", no_wrap=True)
    table.add_column("polls", justify="right", no_wrap=True)
    for item in items:
        table.add_row("" if item["seq"] is None else str(item["seq"]), *_row(item))
    return table


def _row(item: dict[str, Any]) -> list[str | Text]:
    if item["kind"] == "gap":
        gap = item["gap"]
        status = f" ({gap['http_status']})" if gap["http_status"] else ""
        words = f"{gap['cause']}{status}, {gap['attempts']} failed polls"
        until = until_text(gap["to"], gap["from"]) or "open"
        return [time_text(gap["from"]), Text("gap", style="red"), Text(words, style="red"), until, ""]
    if item["kind"] == "watch":
        watch = item["watch"]
        note = f": {watch['note']}" if watch["note"] else ""
        words = f"{watch['action']} by {watch['actor']}{note}"
        return [time_text(item["at"]), Text("watch", style="blue"), plain(words), "", ""]
    odd = f" [{', '.join(item['anomalies'])}]" if item["anomalies"] else ""
    return [
        time_text(item["observed_at"]),
        phase_text(item["phase"]),
        plain(f"{counts_text(item['status'])}{odd}"),
        until_text(item["last_seen_at"], item["observed_at"]),
        str(item["polls"]),
    ]
