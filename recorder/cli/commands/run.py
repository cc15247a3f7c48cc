"""`recorder run`: record until stopped, poll once, or check the recorder of this machine."""

from __future__ import annotations

from datetime import timedelta

import click

from recorder.cli.number_options import SecondsType
from recorder.cli.workers_option import workers_option


@click.command("run")
@click.option("--once", is_flag=True, help="Poll every group that is due once, then exit; for cron.")
@click.option(
    "--every",
    type=SecondsType(min=0, min_open=True, max=315_360_000),
    help="With --once: how often it is run. By default seen from earlier runs: 1 to 60 minutes.",
)
@click.option(
    "--check", is_flag=True, help="Check that the recorder on this machine can poll and write, then exit."
)
@workers_option
def command(once: bool, every: float | None, check: bool, workers: int) -> None:
    """Record: poll every watched group on its schedule until Ctrl-C or SIGTERM.

    Several recorders may share one database; they divide the groups and the request rate among them.
    """
    if every is not None and not once:
        raise click.UsageError("--every says how often --once is run, and needs it")
    if workers > 1 and (once or check):
        raise click.UsageError("--workers is for recording until stopped, without --once or --check")
    # A health check runs often, so it loads nothing that it does not need.
    if check:
        from recorder.cli.run_check import check_recorder  # noqa: PLC0415

        check_recorder()
    elif workers > 1:
        from recorder.cli.workers import run_workers  # noqa: PLC0415

        run_workers(workers)
    else:
        from recorder.cli.recording import record  # noqa: PLC0415

        record(once=once, every=None if every is None else timedelta(seconds=every))
