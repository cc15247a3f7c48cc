"""Several recorders as the processes of one command."""

from __future__ import annotations

import os

import click

from recorder.cli.common import (
    print_warning,
    report_errors,
    settings_with_key,
    warn_of_misspelt_settings,
)
from recorder.processes import Children, stop_requests, wait_while
from recorder.settings import Settings
from recorder.settings_loading import RECORDING

_LAST_PORT = 65535


def require_workers(settings: Settings, workers: int) -> None:
    """Refuse more than one worker on SQLite.

    Raises:
        ClickException: it would not record more.
    """
    if workers > 1 and settings.write_url.get_backend_name() == "sqlite":
        raise click.ClickException(
            "--workers: SQLite lets one process write at a time, so 1 worker records as much as several; "
            "more than 1 needs PostgreSQL (RECORDER_DATABASE_URL)"
        )


def _environments(settings: Settings, workers: int) -> list[dict[str, str]]:
    """Return the environment of each worker, which has its own port for metrics.

    Raises:
        ClickException: there are not enough ports.
    """
    first = settings.metrics_port
    if first is None:
        return [dict(os.environ)] * workers
    if first + workers - 1 > _LAST_PORT:
        raise click.ClickException(
            f"--workers: each worker needs a port of its own, from RECORDER_METRICS_PORT {first} on; "
            f"{workers} workers need one of {_LAST_PORT - workers + 1} or less"
        )
    return [{**os.environ, "RECORDER_METRICS_PORT": str(first + number)} for number in range(workers)]


@report_errors
def run_workers(workers: int) -> None:
    """Run recorders until asked to stop; if one ends before that, stop the others and name it.

    Raises:
        ClickException: a worker has ended.
    """
    settings, _ = settings_with_key(RECORDING)
    warn_of_misspelt_settings(print_warning)
    require_workers(settings, workers)
    environments = _environments(settings, workers)
    children = Children()
    with stop_requests() as asked:
        try:
            for number, environment in enumerate(environments, 1):
                children.start(f"worker {number} of {workers} (recorder run)", "run", env=environment)
            ended = wait_while(children, lambda: not asked())
        finally:
            children.stop_together()
    if ended is not None:
        status = ended.process.returncode
        raise click.ClickException(f"{ended.name} ended unexpectedly, with exit status {status}")
