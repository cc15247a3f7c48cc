"""`recorder expect`: say what is expected of a group."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

import click

from recorder.cli.common import broken_text, check_note, report_errors, writable_database
from recorder.cli.expectations import TAKEN_BACK, ByType, OrNothing, RunsType, time_meant
from recorder.clock import Clock
from recorder.ledger.chain import expectation_members
from recorder.ledger.entries import ExpectationChanges
from recorder.queries.change_text import expectation_text
from recorder.settings_loading import ENROLLING, load_settings
from recorder.store.batches import Deadline
from recorder.store.database_clock import measured_clock
from recorder.store.enrolment import expect_of_group
from recorder.store.watch_changes import BrokenLedgerError, NotWatchedError, UnknownGroupError


@click.command("expect")
@click.argument("taskgroup_id", metavar="ID")
@click.option("--runs", type=OrNothing(RunsType()), help="How many runs the group will have in all.")
@click.option(
    "--by",
    type=OrNothing(ByType()),
    help="When the group will be done: a time, or a duration from now in seconds or with s, m, h or d.",
)
@click.option("--note", help="The reason, to keep in the ledger with the entry.")
@report_errors
def command(
    taskgroup_id: str, runs: int | str | None, by: datetime | timedelta | str | None, note: str | None
) -> None:
    """Say how many runs a group will have, and by when it will be done.

    A group that settles with fewer runs is short, not done: the rest has not been added yet. What is not
    given stays as it was said before; `none` takes it back. Nothing is written if nothing changes.
    """
    check_note(note, "--note")
    if runs is None and by is None:
        raise click.UsageError(f"give --runs or --by ({TAKEN_BACK} takes back what was said before)")
    settings = load_settings(ENROLLING)
    with writable_database(settings) as engine:
        now = measured_clock(engine)
        changes = _changes(runs, by, now)
        try:
            expected, is_new = expect_of_group(
                engine, taskgroup_id, changes, actor=settings.actor, note=note, now=now, deadline=Deadline()
            )
        except UnknownGroupError:
            raise click.ClickException(f"{taskgroup_id}: was never watched") from None
        except NotWatchedError as error:
            raise click.ClickException(
                f"{taskgroup_id}: is {error}, so no more runs are looked for; watch it again with: "
                "recorder watch ID --expect-runs N"
            ) from None
        except BrokenLedgerError as error:
            raise click.ClickException(broken_text(taskgroup_id, error)) from None
    if note is not None and not is_new:
        raise click.ClickException(
            f"{taskgroup_id}: that is expected already, so there is no entry to keep the note with"
        )
    words = expectation_text(expectation_members(expected))
    click.echo(f"{taskgroup_id}: {'expected' if is_new else 'expected already'}: {words}")


def _changes(runs: int | str | None, by: datetime | timedelta | str | None, now: Clock) -> ExpectationChanges:
    changes: ExpectationChanges = {}
    if runs is not None:
        changes["runs"] = None if runs == TAKEN_BACK else cast(int, runs)
    if isinstance(by, datetime | timedelta):
        changes["by"] = time_meant(by, now(), "--by")
    elif by == TAKEN_BACK:
        changes["by"] = None
    return changes
