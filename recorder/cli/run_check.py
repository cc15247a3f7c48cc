"""`recorder run --check`: whether the recorder of this machine can poll and write.

A recorder tells it in a file. Where there is none, its heartbeat in the database does.
"""

from __future__ import annotations

from recorder.cli.check_result import problem_of, report
from recorder.clock import steady_seconds
from recorder.database_url import database_key, database_url_text
from recorder.status_file import RecorderStatus, running_recorders


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


def _problem(status: RecorderStatus) -> str | None:
    silent_seconds = steady_seconds() - status.heartbeat_at
    return problem_of(status.process.pid, silent_seconds, status.failing_since, status.error)
