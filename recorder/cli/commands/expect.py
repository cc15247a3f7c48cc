"""`recorder expect`: say what is expected of groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import click

from recorder.cli.common import broken_text, check_note, report_errors
from recorder.cli.expectations import TAKEN_BACK, ByType, OrNothing, RunsType, time_meant
from recorder.cli.group_changes import OpenedDatabase, Wording, change_groups, database_to_change
from recorder.cli.id_sources import exact_lines_option, from_file_option, known_ids
from recorder.ledger.chain import expectation_members
from recorder.ledger.entries import Action, ExpectationChanges
from recorder.queries.change_text import expectation_text
from recorder.store.batches import Deadline
from recorder.store.enrolment import expect_of_group, expect_of_groups
from recorder.store.watch_changes import (
    BrokenLedgerError,
    NotWatchedError,
    UnknownGroupError,
    WatchOutcomes,
)

_UNCHANGED = "that is expected already"
_NOT_WATCHED = ", so no more runs are looked for; watch it again with: recorder watch ID --expect-runs N"
_OF_MANY = Wording({Action.EXPECTED: "expected"}, _UNCHANGED, _NOT_WATCHED)

_Runs = int | str | None
_By = datetime | timedelta | str | None


@click.command("expect")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--runs", type=OrNothing(RunsType()), help="How many runs each group will have in all.")
@click.option(
    "--by",
    type=OrNothing(ByType()),
    help="When each group will be done: a time, or a duration from now in seconds or with s, m, h or d.",
)
@click.option("--note", help="The reason, to keep in the ledger with the entry.")
@from_file_option
@exact_lines_option
@report_errors
def command(
    ids: tuple[str, ...], runs: _Runs, by: _By, note: str | None, source: Path | None, *, exact: bool
) -> None:
    """Say how many runs groups will have, and by when they will be done.

    A group that settles with fewer runs is short, not done: the rest has not been added yet. What is not
    given stays as it was said before; `none` takes it back. Nothing is written if nothing changes.
    """
    check_note(note, "--note")
    if runs is None and by is None:
        raise click.UsageError(f"give --runs or --by ({TAKEN_BACK} takes back what was said before)")
    if len(ids) == 1 and "-" not in ids and source is None:
        _expect_of_one(ids[0], runs, by, note)
        return

    def expect(database: OpenedDatabase, good: Sequence[str], note: str | None) -> Iterator[WatchOutcomes]:
        changes, actor, deadline = _changes(runs, by, database), database.settings.actor, Deadline()
        return expect_of_groups(
            database.engine, good, changes, actor=actor, note=note, now=database.now, deadline=deadline
        )

    good, complaints = known_ids(ids, source, exact=exact)
    change_groups(good, complaints, expect, _OF_MANY, note)


def _expect_of_one(taskgroup_id: str, runs: _Runs, by: _By, note: str | None) -> None:
    """Change what is expected of a group, and print all that is expected of it from now on."""
    with database_to_change() as database:
        changes, actor, deadline = _changes(runs, by, database), database.settings.actor, Deadline()
        try:
            expected, is_new = expect_of_group(
                database.engine,
                taskgroup_id,
                changes,
                actor=actor,
                note=note,
                now=database.now,
                deadline=deadline,
            )
        except UnknownGroupError:
            raise click.ClickException(f"{taskgroup_id}: was never watched") from None
        except NotWatchedError as error:
            raise click.ClickException(f"{taskgroup_id}: is {error}{_NOT_WATCHED}") from None
        except BrokenLedgerError as error:
            raise click.ClickException(broken_text(taskgroup_id, error)) from None
    if note is not None and not is_new:
        raise click.ClickException(
            f"{taskgroup_id}: {_UNCHANGED}, so there is no entry to keep the note with"
        )
    words = expectation_text(expectation_members(expected))
    click.echo(f"{taskgroup_id}: {'expected' if is_new else 'expected already'}: {words}")


def _changes(runs: _Runs, by: _By, database: OpenedDatabase) -> ExpectationChanges:
    changes: ExpectationChanges = {}
    if runs is not None:
        changes["runs"] = None if runs == TAKEN_BACK else cast(int, runs)
    if isinstance(by, datetime | timedelta):
        changes["by"] = time_meant(by, database.now(), "--by")
    elif by == TAKEN_BACK:
        changes["by"] = None
    return changes
