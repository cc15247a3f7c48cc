"""`recorder archive`: move whole ledgers into a file, and leave tombstones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Engine

from recorder.audit.archive.archiver import (
    ArchiveError,
    WrittenArchive,
    remove_ledgers,
    require_new_archive,
    require_removal,
    write_ledgers,
)
from recorder.audit.archive.selection import (
    HELD_BACK,
    ArchiveFilter,
    ArchivePlan,
    HeldBack,
    Tell,
    plan_archive,
    with_changed,
)
from recorder.audit.exporter import ExportError
from recorder.cli.common import opened_database, report_errors, writable_database
from recorder.cli.output.console import metadata_options, print_json
from recorder.cli.output.files import goes_to_output, phases, sizes_text, stoppable
from recorder.cli.output.format import bytes_text, count_text
from recorder.cli.time_options import DurationType, TimeType
from recorder.clock import Clock
from recorder.settings_loading import load_settings
from recorder.store.database_clock import measured_clock
from recorder.store.transactions import DatabaseUnavailableError

_MOST_LISTED = 10


@dataclass(frozen=True, slots=True)
class _Opened:
    """A database, opened to write and to read, its clock, and where to tell progress."""

    engine: Engine
    reader: Engine
    now: Clock
    tell: Tell


@click.command("archive")
@click.option(
    "--older-than", type=DurationType(), help="Take groups whose newest entry is older than this: 90d, 12h."
)
@click.option("--before", type=TimeType(), help="Take groups whose newest entry is from before this time.")
@click.option(
    "--metadata",
    "labels",
    multiple=True,
    metavar="KEY=VALUE",
    help="Take only groups with this in their metadata; repeatable.",
)
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write, compressed if its name ends with .zst or .gz. It must not exist.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would go, and what holds back the rest.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@report_errors
def command(
    older_than: timedelta | None,
    before: datetime | None,
    labels: tuple[str, ...],
    out: Path | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Move the ledgers of groups that are no longer watched into a file, which proves them.

    The file is written, read back and verified before any entry goes. What is left of a group is a tombstone
    with its newest digest, and its episodes, so that no statistic changes. `recorder import --restore FILE`
    brings the groups back.
    """
    if (older_than is None) == (before is None):
        raise click.UsageError("give either --older-than or --before")
    if out is None and not dry_run:
        raise click.UsageError("give --out FILE, or --dry-run")
    if goes_to_output(out) and out is not None:
        raise click.UsageError("--out needs a file, which is read back; it cannot be standard output")
    selected = tuple(metadata_options(labels).items())
    with (
        writable_database(load_settings(needed=())) as engine,
        opened_database(engine.url, read_only=True, primary=True) as reader,
        phases() as tell,
    ):
        opened = _Opened(engine, reader, measured_clock(engine), tell)
        query = ArchiveFilter(_time_meant(older_than, before, opened.now()), selected)
        if dry_run or out is None:
            with stoppable("stopped"):
                plan, written = plan_archive(reader, query, opened.now(), tell), None
        else:
            plan, written = _archive(opened, query, out)
    if as_json:
        print_json(_members(plan, written, dry_run=dry_run))
    else:
        _print(plan, written, dry_run=dry_run)


def _time_meant(older_than: timedelta | None, before: datetime | None, now: datetime) -> datetime:
    if before is not None:
        return before
    try:
        return now - (older_than or timedelta())
    except OverflowError:
        raise click.UsageError("--older-than: this is before the year 1") from None


def _archive(opened: _Opened, query: ArchiveFilter, out: Path) -> tuple[ArchivePlan, WrittenArchive | None]:
    """Archive; return what was archived in the end, and the file, None if there was nothing."""
    reader, tell = opened.reader, opened.tell
    try:
        with stoppable("stopped: nothing was archived"):
            require_removal(opened.engine)
            require_new_archive(opened.engine, out)
            plan = plan_archive(reader, query, opened.now(), tell)
            if not plan.ids:
                return plan, None
            written = write_ledgers(reader, plan, out, tell)
        return _remove(opened, plan, written), written
    except (ArchiveError, ExportError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        # Not the name of a temporary file.
        named = error.filename if isinstance(error, FileExistsError) else out
        raise click.ClickException(f"{named}: {error.strerror or error}") from None


def _remove(opened: _Opened, plan: ArchivePlan, written: WrittenArchive) -> ArchivePlan:
    groups = entries = changed = 0
    state = f"{written.path} is complete; those of its groups that are not archived stay"
    try:
        with stoppable(f"stopped: {state}"):
            for removed in remove_ledgers(opened.engine, written, opened.now):
                groups, entries = groups + removed.groups, entries + removed.entries
                changed += removed.changed
                opened.tell("removing groups", groups + changed, len(plan.ids))
    except DatabaseUnavailableError as error:
        raise click.ClickException(f"the database cannot be used: {error}; {state}") from None
    return with_changed(plan, groups, entries, changed)


def _members(plan: ArchivePlan, written: WrittenArchive | None, *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "file": None if written is None else str(written.path),
        "archive_sha256": None if written is None else written.sha256,
        "groups": plan.groups,
        "entries": plan.entries,
        "bytes": plan.size,
        "held_back": {reason.value: plan.held_back.get(reason, 0) for reason in HeldBack},
        "damaged": list(plan.damaged),
    }


def _print(plan: ArchivePlan, written: WrittenArchive | None, *, dry_run: bool) -> None:
    size = f"{sizes_text(plan.entries, plan.groups)}, about {bytes_text(plan.size)}"
    if not plan.groups:
        click.echo("nothing to archive")
    elif dry_run or written is None:
        click.echo(f"would archive {size}")
    else:
        click.echo(f"archived {size}, to {written.path}")
        click.echo(f"sha256 {written.sha256}")
    for reason, count in plan.held_back.items():
        click.echo(f"held back: {count_text(count, 'group')} {HELD_BACK[reason]}")
    for taskgroup_id in plan.damaged[:_MOST_LISTED]:
        click.echo(f"  {taskgroup_id!a}: see recorder verify", err=True)
