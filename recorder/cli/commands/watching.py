"""`recorder watch`, `unwatch`, `pause` and `resume`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import click
from sqlalchemy import Engine

from recorder.cli.common import (
    archived_text,
    broken_text,
    check_note,
    checked_ids,
    exit_with,
    report_errors,
    writable_database,
)
from recorder.cli.expectations import ByType, RunsType, time_meant
from recorder.cli.given_ids import GivenIds, check_given, unusual_text
from recorder.cli.id_sources import read_source
from recorder.cli.new_database import created_database
from recorder.cli.output.files import progress
from recorder.clock import Clock
from recorder.ledger.entries import Action, ExpectationChanges
from recorder.ledger.group_id import check_taskgroup_id
from recorder.settings import Settings
from recorder.settings_loading import ENROLLING, load_settings
from recorder.store.batches import Deadline
from recorder.store.database_clock import measured_clock
from recorder.store.enrolment import cease_groups, enrol_groups, resume_groups
from recorder.store.requested import take_created
from recorder.store.tombstones import ArchivedGroupError
from recorder.store.watch_changes import (
    BrokenLedgerError,
    Enrolment,
    NotWatchedError,
    RefusedChangeError,
    UnknownGroupError,
    WatchOutcome,
    WatchOutcomes,
)

LISTED = 100
"""The maximum number of groups that are listed on a terminal; more are counted."""


@dataclass(frozen=True, slots=True)
class OpenedDatabase:
    """A database that is open for writing, its clock, and the settings."""

    engine: Engine
    now: Clock
    settings: Settings


_NO_IDS = (
    "no ids found by --from-file or -; a file has one per line, and a text has tgrp_… or links to groups"
)

Change = Callable[[OpenedDatabase, Sequence[str], str | None], Iterator[WatchOutcomes]]
"""Changes the watches of groups. It takes the database, the ids and the note, and yields the outcomes of each
batch once it is committed."""


@dataclass(frozen=True, slots=True)
class Wording:
    """How to tell what became of a group: `changed` by the action that was written, `unchanged` if there was
    nothing to change."""

    changed: Mapping[Action, str]
    unchanged: str


def change_command(name: str, help_text: str, change: Change, *, unchanged: str) -> click.Command:
    """Return a command that applies `change` to groups; `unchanged` describes one with nothing to change."""
    wording = Wording({action: action.value for action in Action}, unchanged)

    @click.command(name, help=help_text)
    @click.argument("ids", nargs=-1, required=True, metavar="ID...")
    @click.option("--note", help="The reason, to keep in the ledger with the entry.")
    @report_errors
    def command(ids: tuple[str, ...], note: str | None) -> None:
        check_note(note, "--note")
        good, complaints = checked_ids(list(ids))
        settings = load_settings(ENROLLING)
        with writable_database(settings) as engine:
            database = OpenedDatabase(engine, measured_clock(engine), settings)
            complaints += _tell(change(database, good, note), len(good), wording, note)
        exit_with(complaints)

    return command


@click.command("watch")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--note", help="The reason, to keep in the ledger with the entry.")
@click.option(
    "--from-file",
    "source",
    metavar="FILE",
    type=click.Path(exists=True, allow_dash=True, path_type=Path),
    help="Read ids from a file, one per line; from a folder that recorder.sdk writes to; or from any text on "
    "standard input (-).",
)
@click.option(
    "--exact", is_flag=True, help="Take each id as it is; from a file or standard input (-), each line."
)
@click.option("--expect-runs", type=RunsType(), help="How many runs each group will have in all.")
@click.option(
    "--expect-by", type=ByType(), help="When each group will be done: a time, or a duration from now."
)
@report_errors
def watch_command(
    ids: tuple[str, ...],
    note: str | None,
    source: Path | None,
    *,
    exact: bool,
    expect_runs: int | None,
    expect_by: datetime | timedelta | None,
) -> None:
    """Start watching groups; resume those that were paused, stopped, gone or retired.

    With - in place of ids, the ids and links to groups in the text on standard input are used. What is
    expected is written for groups that are watched already, too, if it differs. If the database is empty, its
    tables are created first.
    """
    given = GivenIds()
    given.add((text for text in ids if text != "-"), check_taskgroup_id if exact else check_given)
    if "-" in ids:
        read_source(Path("-"), given, exact=exact)
    if source is not None:
        read_source(source, given, exact=exact)
    if not (given.ids or given.created or given.complaints or _is_folder(source)):
        raise click.UsageError(_NO_IDS if ids or source else "name at least one group, or give --from-file")
    if given.created and (expect_runs is not None or expect_by is not None):
        raise click.UsageError("what is expected of the groups in a folder is what its lines say")
    check_note(note, "--note")
    complaints = given.complaints
    if given.ids or given.created:
        settings = load_settings(ENROLLING)
        with created_database(settings) as engine:
            database = OpenedDatabase(engine, measured_clock(engine), settings)
            if not exact and (warning := unusual_text(given.ids)):
                click.echo(f"Warning: {warning}", err=True)
            enrolment = Enrolment(note, _changes(expect_runs, expect_by, database.now))
            total = len(given.ids) + len(given.created)
            complaints += _tell(_watch(database, given, enrolment), total, _WATCHED, note)
    exit_with(complaints)


def _is_folder(source: Path | None) -> bool:
    return source is not None and source.is_dir()


def _changes(runs: int | None, by: datetime | timedelta | None, now: Clock) -> ExpectationChanges:
    changes: ExpectationChanges = {}
    if runs is not None:
        changes["runs"] = runs
    if by is not None:
        changes["by"] = time_meant(by, now(), "--expect-by")
    return changes


_WATCHED = Wording(
    {
        Action.STARTED: "watching",
        Action.RESUMED: "watching again",
        Action.EXPECTED: "is being watched already; what is expected of it has changed",
    },
    unchanged="is being watched already",
)


def _watch(database: OpenedDatabase, given: GivenIds, enrolment: Enrolment) -> Iterator[WatchOutcomes]:
    engine, now, deadline = database.engine, database.now, Deadline()
    actor, rules = database.settings.actor, database.settings.rules
    wanted = dict.fromkeys(given.ids, enrolment)
    yield from enrol_groups(engine, wanted, actor=actor, now=now, rules=rules, deadline=deadline)
    for outcomes in take_created(
        engine, given.created, actor=actor, note=enrolment.note, now=now, rules=rules, deadline=deadline
    ):
        # Those that were taken in before are in the folder each time.
        yield {one: outcome for one, outcome in outcomes.items() if outcome is not None}


def _tell(batches: Iterator[WatchOutcomes], total: int, wording: Wording, note: str | None) -> list[str]:
    """Print what becomes of `total` groups as they are changed; return a complaint about each that failed."""
    complaints: list[str] = []
    counts: Counter[str] = Counter()
    many = total > LISTED
    listed = not (many and sys.stdout.isatty())
    with progress("changing groups", total) if many else nullcontext() as advance:
        for outcomes in batches:
            for taskgroup_id, outcome in outcomes.items():
                if complaint := _complaint(taskgroup_id, outcome, wording, note):
                    complaints.append(complaint)
                    continue
                words = wording.changed[outcome] if isinstance(outcome, Action) else wording.unchanged
                counts[words] += 1
                if listed:
                    click.echo(f"{taskgroup_id}: {words}")
            if advance is not None:
                advance(counts.total() + len(complaints))
    if many:
        for words, count in counts.items():
            click.echo(f"{count:,} group{'' if count == 1 else 's'}: {words}", err=True)
    return complaints


def _complaint(taskgroup_id: str, outcome: WatchOutcome, wording: Wording, note: str | None) -> str | None:
    if isinstance(outcome, BrokenLedgerError):
        return broken_text(taskgroup_id, outcome)
    if isinstance(outcome, ArchivedGroupError):
        return archived_text(taskgroup_id)
    if isinstance(outcome, UnknownGroupError):
        return f"{taskgroup_id}: was never watched"
    if isinstance(outcome, RefusedChangeError):
        again = " since a moment ago; try again" if isinstance(outcome, NotWatchedError) else ""
        return f"{taskgroup_id}: {'is ' if again else ''}{outcome}{again}"
    if outcome is None and note is not None:
        return f"{taskgroup_id}: {wording.unchanged}, so there is no entry to keep the note with"
    return None


def _ceasing(action: Action) -> Change:
    def cease(database: OpenedDatabase, ids: Sequence[str], note: str | None) -> Iterator[WatchOutcomes]:
        actor = database.settings.actor
        return cease_groups(
            database.engine, ids, action, actor=actor, note=note, now=database.now, deadline=Deadline()
        )

    return cease


def _resume(database: OpenedDatabase, ids: Sequence[str], note: str | None) -> Iterator[WatchOutcomes]:
    settings = database.settings
    return resume_groups(
        database.engine, ids, actor=settings.actor, note=note, now=database.now, rules=settings.rules
    )


unwatch_command = change_command(
    "unwatch",
    "Stop watching groups. Their history is kept.",
    _ceasing(Action.STOPPED),
    unchanged="was stopped already",
)
pause_command = change_command(
    "pause",
    "Stop polling groups until `recorder resume`. The time in between does not count as a gap.",
    _ceasing(Action.PAUSED),
    unchanged="was not being watched",
)
resume_command = change_command(
    "resume",
    "Resume watching groups that were paused, stopped, gone or retired.",
    _resume,
    unchanged="is being watched already",
)
