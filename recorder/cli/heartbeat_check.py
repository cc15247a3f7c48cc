"""The part of `recorder run --check` that reads the heartbeats in the database."""

from __future__ import annotations

import socket
from datetime import datetime

import click

from recorder.cli.check_result import problem_of, report
from recorder.cli.common import opened_database, report_errors, require_file
from recorder.process_identity import ProcessIdentity, this_machine
from recorder.settings_loading import load_settings
from recorder.status_file import ALIVE_SECONDS
from recorder.store.database_clock import DatabaseClock
from recorder.store.engine import display_url
from recorder.store.heartbeats import Heartbeat, heartbeats
from recorder.store.schema import SchemaError, require_head, state_of
from recorder.store.transactions import DatabaseUnavailableError, reading


@report_errors
def check_heartbeats() -> None:
    """Print that a recorder runs on this machine.

    A read replica may lag, so the heartbeats are read where recorders write them.

    Raises:
        ClickException: none does, or one is not able to poll or to write, or the heartbeats cannot be read.
    """
    url, clock = load_settings(needed=()).write_url, DatabaseClock()
    try:
        require_file(url)
        with opened_database(url, read_only=True, primary=True) as engine:
            require_head(state_of(engine))
            with reading(engine) as connection:
                clock.measure(connection)
                now = clock()
                mine = [beat for beat in heartbeats(connection) if _is_of_this_machine(beat, now)]
    except (SchemaError, DatabaseUnavailableError) as error:
        raise click.ClickException(
            f"cannot read the heartbeats in RECORDER_DATABASE_URL ({display_url(url)}): {error}"
        ) from None
    if not mine:
        raise click.ClickException(
            f"no recorder on {socket.gethostname()} has sent a heartbeat in the last {ALIVE_SECONDS} s"
        )
    report([problem for beat in mine if (problem := _problem(beat, now)) is not None])


def _is_of_this_machine(beat: Heartbeat, now: datetime) -> bool:
    """Whether the process that sent a heartbeat runs here; several machines can have one host name."""
    process = beat.report.get("process")
    if process is None:
        return beat.host == socket.gethostname() and beat.is_alive(now)
    identity = ProcessIdentity(**process)
    return identity.machine == this_machine() and identity.runs


def _problem(beat: Heartbeat, now: datetime) -> str | None:
    writing = beat.report.get("writing", {})
    silent_seconds = (now - beat.heartbeat_at).total_seconds()
    return problem_of(beat.pid, silent_seconds, writing.get("failing_since"), writing.get("error"))
