"""`recorder run --check`: whether the recorder of this machine can poll and write.

A recorder tells it in a file. Where there is none, its heartbeat in the database does.
"""

from __future__ import annotations

import socket

import click

from recorder.clock import steady_seconds
from recorder.database_url import database_key, database_url_text
from recorder.status_file import ALIVE_SECONDS, RecorderStatus, running_recorders


def check_recorder() -> None:
    """Print that a recorder runs on this machine.

    Raises:
        ClickException: none does, or one is not able to poll or to write.
    """
    found = running_recorders(database_key(database_url_text()))
    if found:
        report([problem for status in found if (problem := _problem(status)) is not None])
    else:
        from recorder.cli.heartbeat_check import check_heartbeats  # noqa: PLC0415 - loads the database's driver

        check_heartbeats()


def report(problems: list[str]) -> None:
    """Print that a recorder runs, or raise what is wrong."""
    if problems:
        raise click.ClickException("; ".join(problems))
    click.echo(f"a recorder is running on {socket.gethostname()}")


def problem_of(pid: int, silent_seconds: float, failing_since: str | None, error: str | None) -> str | None:
    """Return what is wrong with a recorder, None if it can record."""
    place = f"the recorder on {socket.gethostname()} with process id {pid}"
    if error is not None:
        return f"{place} has not been able to write since {failing_since}: {error}"
    if silent_seconds > ALIVE_SECONDS:
        return f"{place} has sent no heartbeat for {silent_seconds:.0f} s"
    return None


def _problem(status: RecorderStatus) -> str | None:
    silent_seconds = steady_seconds() - status.heartbeat_at
    return problem_of(status.process.pid, silent_seconds, status.failing_since, status.error)
