"""`recorder wait`: wait until groups are done, and tell by the exit status how they ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime

import click
from sqlalchemy import Engine

from recorder.cli.common import (
    archived_text,
    exit_with,
    note_elsewhere,
    opened_database,
    report_errors,
    require_file,
)
from recorder.cli.number_options import SecondsType
from recorder.cli.output.awaited import AwaitedView, awaited_view
from recorder.cli.output.console import print_json
from recorder.cli.output.warnings import warnings
from recorder.clock import utc_now
from recorder.completion.outcome import exit_status, worst_status
from recorder.processes import stop_requests
from recorder.queries.recorders import not_found_groups
from recorder.queries.waiting import AwaitedGroups
from recorder.settings_loading import load_settings
from recorder.store.data_time import data_time
from recorder.store.heartbeats import heartbeats
from recorder.store.schema import require_head, state_of
from recorder.store.tombstones import find_tombstones
from recorder.store.transactions import DatabaseLostError, DatabaseUnavailableError, reading

_INTERVAL_SECONDS = 1.0
_MOST_LOAD = 0.1
"""The share of the time that may be spent reading, where there are many groups."""
_STOPPED = 1


@click.command("wait")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--timeout", type=SecondsType(min=0), help="Wait at most this long; 0 only looks.")
@click.option("--any", "first", is_flag=True, help="Wait only until one of the groups is done.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print no lines, but the groups as in the API when the wait ends."
)
@report_errors
def command(ids: tuple[str, ...], timeout: float | None, first: bool, as_json: bool) -> None:
    """Wait until groups are done; something must be recording them.

    Exit status: 0 settled and all runs completed; 3 settled, some run failed or was cancelled; 4 blocked;
    5 no longer watched, and not settled; 6 timed out; 7 settled, but short of the expected runs. Of several
    groups, the worst, in the order 5, 4, 7, 3, 6.
    """
    settings = load_settings(needed=())
    window = settings.rules.gap_window.total_seconds()
    groups = AwaitedGroups(list(dict.fromkeys(ids)), settings.cohort_key, window)
    deadline = None if timeout is None else time.monotonic() + timeout
    require_file(settings.read_url)
    with stop_requests() as asked, opened_database(settings.read_url, read_only=True) as engine:
        require_head(state_of(engine))
        now = _read(engine, groups)
        exit_with(_complaints(engine, [one for one, body in groups.bodies.items() if body is None]))
        if timeout != 0 and exit_status(groups.outcomes.values(), first=first) is None:
            _warn(engine, now)
        with awaited_view(quiet=as_json) as view:
            view.show(groups, now)
            status = _wait(groups, lambda: _look(engine, groups, view), asked, deadline, first=first)
        if as_json:
            print_json({"items": [groups.bodies[one] for one in groups.ids]})
    raise click.exceptions.Exit(status)


def _warn(engine: Engine, now: datetime) -> None:
    """Say why the groups may not be recorded, such as that no recorder is running."""
    with reading(engine) as connection:
        recorders = heartbeats(connection)
        not_found = not_found_groups(connection, recorders, now)
    for line in warnings(recorders, now, not_found):
        click.echo(line.plain, err=True)
    if not any(beat.is_alive(now) for beat in recorders):
        note_elsewhere()


def _complaints(engine: Engine, absent: Sequence[str]) -> list[str]:
    """Return why each of the groups that are not in the database cannot be waited for."""
    with reading(engine) as connection:
        archived = find_tombstones(connection, absent)
    return [archived_text(one) if one in archived else f"{one[:80]!a}: was never watched" for one in absent]


def _wait(
    groups: AwaitedGroups,
    look: Callable[[], None],
    asked: Callable[[], bool],
    deadline: float | None,
    *,
    first: bool,
) -> int:
    """Look until the groups are done, the time is over, or a signal asks to stop; return the exit status."""
    pause = _INTERVAL_SECONDS
    while not asked():
        status = exit_status(groups.outcomes.values(), first=first)
        if status is not None:
            return status
        left = pause if deadline is None else deadline - time.monotonic()
        if left <= 0:
            return worst_status(groups.outcomes.values())
        time.sleep(min(pause, left))
        began = time.monotonic()
        look()
        pause = max(_INTERVAL_SECONDS, (time.monotonic() - began) / _MOST_LOAD)
    return _STOPPED


def _look(engine: Engine, groups: AwaitedGroups, view: AwaitedView) -> None:
    """Read the groups and show them. While the database is away, they stay as they were."""
    try:
        now = _read(engine, groups)
    except DatabaseLostError:
        raise
    except DatabaseUnavailableError as error:
        view.show_away(str(error), utc_now())
    else:
        view.show(groups, now)


def _read(engine: Engine, groups: AwaitedGroups) -> datetime:
    with reading(engine) as connection:
        now = data_time(connection).at
        groups.read(connection, now)
    return now
