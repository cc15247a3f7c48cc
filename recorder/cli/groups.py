"""`recorder groups`: the groups and how they stand."""

from __future__ import annotations

from typing import Any

import click
from rich import box
from rich.table import Table
from rich.text import Text

from api.answers import groups_answer
from api.queries import GroupsQuery
from recorder.cli.answers import answer, console, json_option, plain, print_json, print_more, query_of
from recorder.cli.common import with_words
from recorder.cli.tables import phase_text, runs_text, time_text


@click.command("groups")
@click.option("--phase", help="Only groups in these phases, separated by commas.")
@click.option("--state", help="Only groups with a watch in these states, separated by commas.")
@click.option("--limit", help="How many at most, 100 unless told.")
@click.option("--cursor", help="Where to go on, as the page before says.")
@json_option
@with_words
def command(as_json: bool, **options: str | None) -> None:
    """List the groups, the newest enrolment first."""
    query = query_of(GroupsQuery, options)
    body = answer(lambda connection, now: groups_answer(connection, query, now))
    if as_json:
        print_json(body)
        return
    if not body["items"]:
        click.echo("no groups; watch one with: recorder watch ID")
        return
    console().print(_table(body["items"]))
    print_more(body)


def _table(groups: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for heading in ("group", "state", "phase"):
        table.add_column(heading, overflow="fold")
    for heading in ("runs", "polls"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("last seen", "due", "open gap"):
        table.add_column(heading)
    for group in groups:
        gap = group["open_gap"]
        table.add_row(
            plain(group["taskgroup_id"]),
            group["state"],
            phase_text(group["phase"]),
            runs_text(group["progress"]),
            str(group["polls"] or ""),
            time_text(group["last_seen_at"]),
            time_text(group["due_at"]),
            Text(f"{gap['cause']} since {gap['from'][11:19]}", style="red") if gap else "",
        )
    return table
