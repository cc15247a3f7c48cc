"""Measure what `attach` costs a call of the SDK, and how long after the end of its runs a webhook is told.

    .venv/bin/python -m benchmarks.attach
    .venv/bin/python -m benchmarks.attach --groups 100 --intervals 10,60 --intervals 1,1

The calls go to a transport that answers at once, so their time is that of the SDK alone; both kinds
alternate. The time to the webhook begins when the provider says that the last run ended. All recorders poll
the same simulated groups, which end at times spread evenly, each with its own intervals and webhook.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import click
import httpx
import parallel
from rich.console import Console
from rich.table import Table

from benchmarks.timing import medians
from recorder.clock import utc_now
from recorder.ledger.timestamps import parse_time
from recorder.sdk import attach
from recorder.simulator import SimulatorSettings
from tests.support.databases import upgrade_database
from tests.support.simulator import simulating
from tests.support.webhook_receiver import SECRET, Received, Receiver, webhook_receiver

KEY = "a-key"
BATCH = 200
WARM_UP = 3.0
"""The recorders start before the groups are created."""


@dataclass(slots=True)
class Told:
    """A recorder's intervals, and the seconds from the end of each group's last run to its webhook."""

    intervals: tuple[float, float]
    seconds: list[float] = field(default_factory=list)

    def take(self, received: Received) -> int:
        if received.type == "group.settled":
            ended = parse_time(received.data["completed"]["at"])
            self.seconds.append((datetime.now(UTC) - ended).total_seconds())
        return 200


@click.command()
@click.option("--for", "seconds", default=10.0, help="how long to measure calls")
@click.option("--groups", default=60)
@click.option("--spread", default=60.0, help="over how many seconds the groups end")
@click.option(
    "--intervals",
    "given",
    multiple=True,
    default=["10,60", "10,10", "1,1"],
    help="RECORDER_POLL_INTERVAL and RECORDER_MAX_INTERVAL of a recorder",
)
def main(seconds: float, groups: int, spread: float, given: tuple[str, ...]) -> None:
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder
        bare, attached, ratio = _calls(Path(folder), seconds)
        console.print(
            f"a call takes {1e6 * bare:.0f} µs, attached {1e6 * attached:.0f} µs: "
            f"{1e6 * (attached - bare):+.0f} µs ({ratio:.2f} times)"
        )
        pairs = [tuple(map(float, text.split(","))) for text in given]
        console.print(_table(_told(Path(folder), groups, spread, [Told((one, most)) for one, most in pairs])))


def _calls(folder: Path, seconds: float) -> tuple[float, float, float]:
    """Return the medians of a call's time without and with `attach`, and of their ratio."""
    bare, attached = _client(), _client()
    attachment = attach(attached, to=folder / "enrolments")
    turns = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        turns += [
            (_seconds(bare.task_group.create), _seconds(attached.task_group.create)) for _ in range(BATCH)
        ]
        # What was handed over is not written to the disk while calls are timed.
        attachment.flush()
    attachment.detach()
    return medians(iter(turns))


def _client() -> parallel.Parallel:
    body = {"taskgroup_id": "tgrp_1", "created_at": "2026-11-24T12:16:00Z", "status": {"num_task_runs": 0}}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=body))
    http = httpx.Client(transport=transport, base_url="http://provider.test")
    return parallel.Parallel(api_key=KEY, base_url="http://provider.test", http_client=http)


def _seconds(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def _told(folder: Path, groups: int, spread: float, recorders: list[Told]) -> list[Told]:
    """Record groups with all recorders until every webhook was told of the end of each."""
    with ExitStack() as stack:
        provider = stack.enter_context(simulating(SimulatorSettings(api_key=KEY)))
        for number, told in enumerate(recorders):
            receiver = stack.enter_context(webhook_receiver())
            receiver.answer = told.take
            stack.callback(_started(folder / str(number), provider, receiver, told.intervals).terminate)
        time.sleep(WARM_UP)
        _create(provider, groups, spread, folder)
        while any(len(told.seconds) < groups for told in recorders):
            time.sleep(0.5)
    return recorders


def _started(
    folder: Path, provider: str, receiver: Receiver, intervals: tuple[float, float]
) -> subprocess.Popen[bytes]:
    folder.mkdir()
    (folder / "sinks.toml").write_text(receiver.table("hook"), "utf-8")
    enrolments = folder.parent / "groups"
    enrolments.mkdir(exist_ok=True)
    settings = {
        "PARALLEL_API_KEY": KEY,
        "PARALLEL_BASE_URL": provider,
        "RECORDER_DATABASE_URL": f"sqlite:///{folder}/recorder.db",
        "RECORDER_POLL_INTERVAL": str(intervals[0]),
        "RECORDER_MAX_INTERVAL": str(intervals[1]),
        "RECORDER_RATE": "500",
        "RECORDER_NOTIFY_FILE": "sinks.toml",
        "RECORDER_ENROL_DIR": str(enrolments),
        "HOOK_SECRET": SECRET,
    }
    upgrade_database(settings["RECORDER_DATABASE_URL"])
    command = [sys.executable, "-m", "recorder", "run"]
    with (folder / "log").open("wb") as output:
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), **settings}
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)  # noqa: S603 (this program)


def _create(provider: str, groups: int, spread: float, folder: Path) -> None:
    """Create groups, each with runs that end at its own time, and the last at that of the group."""
    with parallel.Parallel(api_key=KEY, base_url=provider) as client:
        attachment = attach(client, to=folder / "groups")
        for number in range(groups):
            group = client.task_group.create().task_group_id
            ends = spread * (1 + number) / groups
            for share in (0.5, 0.8, 1):
                client.task_group.add_runs(
                    group,
                    inputs=[{"input": "who?", "processor": "lite"}],
                    extra_headers={"x-simulator-seconds": str(share * ends + 15)},
                )
        attachment.flush()
        attachment.detach()


def _table(recorders: list[Told]) -> Table:
    table = Table(title=f"from the end of the last run to the webhook, seconds ({utc_now():%F})")
    for heading in ("poll every", "at most", "groups", "median", "mean", "95th percentile", "longest"):
        table.add_column(heading, justify="right")
    for told in recorders:
        seconds = told.seconds
        mean, late = sum(seconds) / len(seconds), quantiles(seconds, n=20)[-1]
        figures = [f"{value:.1f}" for value in (median(seconds), mean, late, max(seconds))]
        table.add_row(*(f"{value:g} s" for value in told.intervals), str(len(seconds)), *figures)
    return table


if __name__ == "__main__":
    main()
