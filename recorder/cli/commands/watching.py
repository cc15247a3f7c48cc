"""`recorder watch`, `unwatch`, `pause` and `resume`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import click

from recorder.cli.common import check_note, exit_with, report_errors
from recorder.cli.expectations import ByType, RunsType, time_meant
from recorder.cli.given_ids import GivenIds, check_given, unusual_text
from recorder.cli.group_changes import Change, OpenedDatabase, Wording, change_groups, tell
from recorder.cli.id_sources import (
    exact_lines_option,
    from_file_option,
    given_ids,
    known_ids,
    require_ids,
)
from recorder.cli.new_database import created_database
from recorder.clock import Clock
from recorder.ledger.entries import Action, ExpectationChanges
from recorder.ledger.group_id import check_taskgroup_id
from recorder.settings_loading import ENROLLING, load_settings
from recorder.store.batches import Deadline
from recorder.store.database_clock import measured_clock
from recorder.store.enrolment import cease_groups, enrol_groups, resume_groups
from recorder.store.requested import take_created
from recorder.store.watch_changes import Enrolment, WatchOutcomes


def change_command(name: str, help_text: str, change: Change, *, unchanged: str) -> click.Command:
    """Return a command that applies `change` to groups; `unchanged` describes one with nothing to change."""
    wording = Wording({action: action.value for action in Action}, unchanged)

    @click.command(name, help=help_text)
    @click.argument("ids", nargs=-1, metavar="[ID]...")
    @click.option("--note", help="The reason, to keep in the ledger with the entry.")
    @from_file_option
    @exact_lines_option
    @report_errors
    def command(ids: tuple[str, ...], note: str | None, source: Path | None, *, exact: bool) -> None:
        good, complaints = known_ids(ids, source, exact=exact)
        check_note(note, "--note")
        change_groups(good, complaints, change, wording, note)

    return command


@click.command("watch")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--note", help="The reason, to keep in the ledger with the entry.")
@from_file_option
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
    given = given_ids(ids, source, check_taskgroup_id if exact else check_given, exact=exact)
    require_ids(given, ids, source)
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
            complaints += tell(_watch(database, given, enrolment), total, _WATCHED, note)
    exit_with(complaints)


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
