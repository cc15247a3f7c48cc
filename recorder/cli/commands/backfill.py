"""`recorder backfill`: ask the provider for the past of groups' runs."""

from __future__ import annotations

import asyncio

import click
from sqlalchemy import Engine

from recorder.cli.common import (
    archived_text,
    broken_text,
    checked_ids,
    exit_with,
    print_warning,
    refuse_demo_database,
    report_errors,
    settings_with_key,
    warn_of_misspelt_settings,
)
from recorder.cli.new_database import created_database
from recorder.cli.output.runs_table import print_runs
from recorder.queries.runs import RunsQuery, runs_page
from recorder.settings import Settings
from recorder.settings_loading import BACKFILLING
from recorder.store.database_clock import measured_clock
from recorder.store.run_snapshots import keep_snapshot, run_spool
from recorder.store.tombstones import ArchivedGroupError
from recorder.store.transactions import reading
from recorder.store.watch_changes import BrokenLedgerError
from recorder.upstream.run_stream import RunSource, RunStreamError, read_runs


@click.command("backfill")
@click.argument("taskgroup_ids", metavar="ID...", nargs=-1, required=True)
@report_errors
def command(taskgroup_ids: tuple[str, ...]) -> None:
    """Ask the provider for the runs of groups with their times, and keep its answer.

    What it says is a claim: it is kept apart from the ledger, in which one entry has its digest. A group that
    was never watched is kept without being polled. The exit status is 1 if a group could not be asked for, or
    if a claim contradicts what was seen.
    """
    settings, api_key = settings_with_key(BACKFILLING)
    warn_of_misspelt_settings(print_warning)
    ids, complaints = checked_ids(list(taskgroup_ids))
    found = False
    with created_database(settings) as engine:
        refuse_demo_database(settings, engine)
        for taskgroup_id in ids:
            try:
                found |= _backfill(settings, api_key, engine, taskgroup_id)
            except RunStreamError as error:
                complaints.append(f"{taskgroup_id}: nothing was kept: {error}")
            except ArchivedGroupError:
                complaints.append(archived_text(taskgroup_id))
            except BrokenLedgerError as error:
                complaints.append(broken_text(taskgroup_id, error))
    exit_with(complaints)
    if found:
        raise click.exceptions.Exit(1)


def _backfill(settings: Settings, api_key: str, engine: Engine, taskgroup_id: str) -> bool:
    """Keep and print a snapshot of a group; return whether there are findings."""
    source = RunSource(
        base_url=settings.base_url,
        prefix=settings.upstream_prefix,
        api_key=api_key,
        timeout_seconds=settings.request_timeout,
        max_event_bytes=settings.max_body,
    )
    now = measured_clock(engine)
    with run_spool() as spool:
        asked_at = now()
        asyncio.run(read_runs(source, taskgroup_id, spool.add))
        keep_snapshot(
            engine,
            taskgroup_id,
            spool,
            asked_at=asked_at,
            taken_at=now(),
            actor=settings.actor,
            now=now,
            rules=settings.rules,
        )
    with reading(engine) as connection:
        body = runs_page(connection, taskgroup_id, RunsQuery())
    click.echo(f"{taskgroup_id}: ", nl=False)
    print_runs(body)
    return bool(body["findings"])
