"""`recorder groups`: the groups and their state."""

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
    page_options,
    plain,
    print_json,
    print_more,
    query_of,
)
from recorder.cli.output.format import ago_text, cause_text, phase_text, runs_text, state_text
from recorder.cli.output.recorder_table import late_lines, recorder_table
from recorder.cli.output.warnings import warnings
from recorder.ledger.watch import WatchState
from recorder.queries.groups import GroupsQuery, list_page
from recorder.queries.recorders import late_body, rate_budget_body, recorder_body
from recorder.settings_loading import load_settings
from recorder.store.groups import read_group_counts
from recorder.store.heartbeats import Heartbeat, heartbeats

_USUAL_ID_WIDTH = 37


@click.command("groups")
@click.option("--phase", help="Only groups in these phases, separated by commas.")
@click.option("--state", help="Only groups whose watch is in these states, separated by commas.")
@click.option(
    "--late",
    is_flag=True,
    help="Only groups with an open gap; then which recorders run, and why polls are late.",
)
@page_options
@report_errors
def command(as_json: bool, late: bool, **options: str | None) -> None:
    """List the groups, most recently enrolled first."""
    query = query_of(GroupsQuery, {**options, "late": "true" if late else None})
    settings = load_settings(needed=())
    recorders: list[Heartbeat] = []

    def question(connection: Connection, now: datetime) -> tuple[dict[str, Any], str | None, datetime]:
        recorders.extend(heartbeats(connection))
        listing = list_page(connection, query, now, settings.cohort_key)
        body = listing.body(now)
        if late:
            body |= _late_members(connection, recorders, now, settings.rate)
        return body, listing.page.cursor, now

    body, cursor, now = answer(question)
    if as_json:
        print_json(body)
        return
    out = console()
    if body["items"]:
        out.print(_table(body["items"], now))
        print_more(cursor)
    else:
        filtered = late or any(options.values())
        click.echo("no such groups" if filtered else "no groups; watch one with: recorder watch ID")
    if late:
        if recorders:
            out.print(recorder_table(recorders, now))
        out.print(Text("\n").join(late_lines(body["late"], recorders)))
    for line in warnings(recorders, now):
        out.print(line)


def _late_members(
    connection: Connection, recorders: list[Heartbeat], now: datetime, rate: float
) -> dict[str, Any]:
    return {
        "late": late_body(recorders, read_group_counts(connection, now), now),
        "recorders": [recorder_body(beat, now) for beat in recorders],
        "rate_budget": rate_budget_body(recorders, now, rate),
    }


def _table(groups: list[dict[str, Any]], now: datetime) -> Table:
    table = column_table()
    table.add_column("group", overflow="fold", min_width=_USUAL_ID_WIDTH)
    for heading in ("watch", "phase"):
        table.add_column(heading, no_wrap=True)
    table.add_column("runs", justify="right", no_wrap=True)
    table.add_column("last seen")
    for group in groups:
        table.add_row(
            plain(group["taskgroup_id"]),
            state_text(group["state"]),
            _phase(group),
            runs_text(group["progress"]),
            _seen(group, now),
        )
    return table


def _phase(group: dict[str, Any]) -> Text:
    """Return the phase, dimmed if the group is not watched, since it may have changed."""
    phase = phase_text(group["phase"])
    return phase if group["state"] == WatchState.WATCHING else Text(phase.plain, style="dim")


def _seen(group: dict[str, Any], now: datetime) -> Text:
    ago, gap = Text(ago_text(group["last_seen_at"], now)), group["open_gap"]
    if gap is None:
        return ago
    ago.stylize("red")
    return Text(" ").join([*([ago] if ago else []), Text.assemble("(", cause_text(gap), ")")])
