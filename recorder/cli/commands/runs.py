"""`recorder runs`: what the provider claimed about a group's runs."""

from __future__ import annotations

from typing import Any

import click
from sqlalchemy import Connection

from recorder.cli.common import report_errors
from recorder.cli.output.console import answer, page_options, print_json, query_of
from recorder.cli.output.runs_table import print_runs
from recorder.queries.groups import require_watch
from recorder.queries.runs import RunsQuery, runs_page
from recorder.store.run_snapshots import find_snapshot, said_of


@click.command("runs")
@click.argument("taskgroup_id", metavar="ID")
@click.option("--said", is_flag=True, help="Print the provider's own words, whose SHA-256 is the digest.")
@page_options
@report_errors
def command(taskgroup_id: str, said: bool, as_json: bool, **options: str | None) -> None:
    """Show what the provider claimed about a group's runs when `recorder backfill` last asked.

    Durations and waits by processor, when shares of the runs had finished, and with --json each run. Nothing
    of it was seen. The exit status is 1 if a claim contradicts what was seen.
    """
    query = query_of(RunsQuery, options)
    if said:
        if as_json:
            raise click.UsageError("--said and --json exclude each other")
        answer(lambda connection, _: _print_said(connection, taskgroup_id))
        return
    body = answer(lambda connection, _: _body(connection, taskgroup_id, query))
    if as_json:
        print_json(body)
    elif body["snapshot"] is None:
        raise click.ClickException(f"{taskgroup_id}: no snapshot; take one with: recorder backfill")
    else:
        print_runs(body)
    if body["findings"]:
        raise click.exceptions.Exit(1)


def _body(connection: Connection, taskgroup_id: str, query: RunsQuery) -> dict[str, Any]:
    require_watch(connection, taskgroup_id)
    return runs_page(connection, taskgroup_id, query)


def _print_said(connection: Connection, taskgroup_id: str) -> None:
    require_watch(connection, taskgroup_id)
    snapshot = find_snapshot(connection, taskgroup_id)
    if snapshot is None:
        raise click.ClickException(f"{taskgroup_id}: no snapshot; take one with: recorder backfill")
    for line in said_of(connection, taskgroup_id, snapshot.seq):
        click.echo(line)
