"""What `recorder run --check` finds out about recorders, in words."""

from __future__ import annotations

import socket

import click

from recorder.status_file import ALIVE_SECONDS


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
