"""`recorder groups`: the groups and their state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import click
from rich.table import Table
from rich.text import Text
from sqlalchemy import ColumnElement, Connection

from recorder.cli.common import note_elsewhere, report_errors
from recorder.cli.output.console import (
    answer,
    column_table,
    console,
    metadata_options,
    page_options,
    plain,
    print_json,
    print_more,
    print_table,
    query_of,
)
from recorder.cli.output.format import ago_text, cause_text, phase_of_group, runs_of_group, state_text
from recorder.cli.output.group_columns import NOTE, ORDERS, Cell, columns_of, in_order, unseen_keys
from recorder.cli.output.recorder_table import late_lines, recorder_table
from recorder.cli.output.unknown_keys import unknown_key_notes
from recorder.cli.output.warnings import warnings
from recorder.ledger.status_fields import Phase
from recorder.ledger.watch import WatchState
from recorder.queries.groups import MAX_COUNT, GroupsQuery, TooManyGroupsError, list_page, list_whole
from recorder.queries.recorders import late_body, not_found_groups, rate_budget_body, recorder_body
from recorder.settings import Settings
from recorder.settings_loading import load_settings
from recorder.store.attention import overdue_groups, short_groups, stalled_groups
from recorder.store.engine import display_url
from recorder.store.group_counts import read_group_counts
from recorder.store.heartbeats import Heartbeat, heartbeats
from recorder.store.missing import NotFoundGroups
from recorder.store.notes import newest_notes

_USUAL_ID_WIDTH, _OTHER_COLUMNS = 37, 60

_TOO_MANY = f"--sort takes at most {MAX_COUNT:,} groups; select fewer, with --state watching for example"


@click.command("groups")
@click.option("--phase", help=f"Only groups in these phases, separated by commas: {', '.join(Phase)}.")
@click.option(
    "--state",
    help=f"Only groups whose watch is in these states, separated by commas: {', '.join(WatchState)}.",
)
@click.option(
    "--metadata",
    "labels",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only groups with this value in their metadata; may be repeated.",
)
@click.option("--created-from", metavar="TIME", help="Only groups created at or after this time.")
@click.option("--created-to", metavar="TIME", help="Only groups created before this time.")
@click.option("--changed-from", metavar="TIME", help="Only groups with an entry from this time or later.")
@click.option(
    "--late",
    is_flag=True,
    help="Only groups with an open gap; then which recorders run, and why polls are late.",
)
@click.option("--stalled", is_flag=True, help="Only active groups whose counts have not changed for long.")
@click.option("--overdue", is_flag=True, help="Only groups that should be done by now, and are not.")
@click.option("--short", is_flag=True, help="Only settled groups with fewer runs than expected.")
@click.option("--all", "everything", is_flag=True, help="Also groups that were stopped and never seen.")
@click.option("--columns", metavar="NAMES", help="More columns, such as note,failed,eta,metadata.KEY.")
@click.option("--sort", "order", type=click.Choice(ORDERS), help="Sort the whole table by this.")
@page_options
@report_errors
def command(
    *,
    as_json: bool,
    late: bool,
    stalled: bool,
    overdue: bool,
    short: bool,
    everything: bool,
    labels: tuple[str, ...],
    columns: str | None,
    order: str | None,
    **options: str | None,
) -> None:
    """List the groups, most recently enrolled first."""
    given: dict[str, Any] = {**options, "late": "true" if late else None}
    query = query_of(GroupsQuery, given | ({"metadata": metadata_options(labels)} if labels else {}))
    _check_order(order, query, as_json=as_json)
    columns_of(columns, {})
    settings = load_settings(needed=())
    attention = _Attention(stalled, overdue, short).check(settings)
    recorders: list[Heartbeat] = []

    def question(connection: Connection, now: datetime) -> _Listed:
        recorders.extend(heartbeats(connection))
        selection = connection, query, now, settings.cohort_key
        unseen, conditions = everything or as_json, tuple(attention.conditions(now, settings))
        body: dict[str, Any]
        if order is None:
            listing = list_page(*selection, stopped_unseen=unseen, conditions=conditions)
            body, cursor = listing.body(now), listing.page.cursor
        else:
            found = list_whole(*selection, stopped_unseen=unseen, conditions=conditions)
            body, cursor = {"items": in_order(found, order)[: query.limit]}, None
        if late:
            body |= _late_members(connection, recorders, now, settings.rate)
        notes = _notes(connection, body) if NOTE in (columns or "") else {}
        keys = [] if as_json else [*query.metadata, *unseen_keys(columns, body["items"])]
        not_found = not_found_groups(connection, recorders, now)
        return _Listed(body, cursor, now, notes, unknown_key_notes(connection, keys), not_found)

    try:
        listed = answer(question)
    except TooManyGroupsError:
        raise click.UsageError(_TOO_MANY) from None
    if as_json:
        print_json(listed.body)
        return
    none = _none_text(late, attention, [*labels, *(options[name] for name in options if name != "limit")])
    _print(listed, columns_of(columns, listed.notes), recorders, late=late, none=none)


@dataclass(frozen=True, slots=True)
class _Listed:
    """What was listed at `now`: the body, the cursor of the next page, notes by group, remarks, and which
    groups are not found."""

    body: dict[str, Any]
    cursor: str | None
    now: datetime
    notes: dict[str, str]
    remarks: list[str]
    not_found: NotFoundGroups


class _Attention(NamedTuple):
    """Which groups that need attention are asked for."""

    stalled: bool
    overdue: bool
    short: bool

    def check(self, settings: Settings) -> _Attention:
        if self.stalled and not settings.stall_after:
            raise click.UsageError("--stalled needs a RECORDER_STALL_AFTER above 0")
        return self

    def conditions(self, now: datetime, settings: Settings) -> Iterator[ColumnElement[bool]]:
        if self.stalled:
            yield stalled_groups(now, timedelta(seconds=settings.stall_after))
        if self.overdue:
            yield overdue_groups(now)
        if self.short:
            yield short_groups(now, settings.rules.gap_window)


def _check_order(order: str | None, query: GroupsQuery, *, as_json: bool) -> None:
    if order is not None and as_json:
        raise click.UsageError("--sort is for the table; the JSON has the order of the API")
    if order is not None and query.cursor is not None:
        raise click.UsageError("--sort sorts all groups, so there is no page to continue with --cursor")


def _none_text(late: bool, attention: _Attention, filters: Iterable[str | None]) -> str:
    """Return what to say when no group is listed."""
    asked = [name for name, is_asked in (("late", late), *attention._asdict().items()) if is_asked]
    if any(filters) or len(asked) > 1:
        return "no such groups"
    if asked:
        return f"no group is {asked[0]}"
    place = display_url(load_settings(needed=()).read_url)
    return f"no groups in {place}; watch one with: recorder watch ID"


def _print(
    listed: _Listed, columns: dict[str, Cell], recorders: list[Heartbeat], *, late: bool, none: str
) -> None:
    out, now = console(), listed.now
    if listed.body["items"]:
        print_table(out, _table(listed.body["items"], now, columns, out.width))
        print_more(listed.cursor)
    else:
        click.echo(none)
    if late:
        if recorders:
            out.print(recorder_table(recorders, now))
        out.print(Text("\n").join(late_lines(listed.body["late"], recorders)))
    for line in warnings(recorders, now, listed.not_found):
        out.print(line)
    if not any(beat.is_alive(now) for beat in recorders):
        note_elsewhere()
    for remark in listed.remarks:
        click.echo(remark, err=True)


def _notes(connection: Connection, body: dict[str, Any]) -> dict[str, str]:
    return newest_notes(connection, [group["taskgroup_id"] for group in body["items"]])


def _late_members(
    connection: Connection, recorders: list[Heartbeat], now: datetime, rate: float
) -> dict[str, Any]:
    return {
        "late": late_body(recorders, read_group_counts(connection, now), now),
        "recorders": [recorder_body(beat, now) for beat in recorders],
        "rate_budget": rate_budget_body(recorders, now, rate),
    }


def _table(groups: list[dict[str, Any]], now: datetime, columns: dict[str, Cell], width: int) -> Table:
    table = column_table()
    room = max(_USUAL_ID_WIDTH, width - _OTHER_COLUMNS)
    longest = max((plain(group["taskgroup_id"]).cell_len for group in groups), default=0)
    longest = max(longest, len("group"))
    # A column of fixed width is the only one that is not made narrower where others need room.
    table.add_column("group", overflow="fold", width=min(longest, room))
    for heading in ("watch", "phase"):
        table.add_column(heading, no_wrap=True)
    table.add_column("runs", justify="right", no_wrap=True)
    table.add_column("last seen")
    for heading in columns:
        table.add_column(plain(heading), overflow="fold")
    for group in groups:
        table.add_row(
            plain(group["taskgroup_id"]),
            state_text(group["state"]),
            _phase(group),
            runs_of_group(group),
            _seen(group, now),
            *(cell(group) for cell in columns.values()),
        )
    return table


def _phase(group: dict[str, Any]) -> Text:
    """Return the phase, dimmed if the group is not watched, since it may have changed."""
    phase = phase_of_group(group)
    return phase if group["state"] == WatchState.WATCHING else Text(phase.plain, style="dim")


def _seen(group: dict[str, Any], now: datetime) -> Text:
    ago, gap = Text(ago_text(group["last_seen_at"], now)), group["open_gap"]
    if gap is None:
        return ago
    ago.stylize("red")
    return Text(" ").join([*([ago] if ago else []), Text.assemble("(", cause_text(gap), ")")])
