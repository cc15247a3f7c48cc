"""Measure how fast the API reads beside a recorder that writes.

    python benchmarks/read_under_load.py [--changes 500] [--seconds 20] [--entries 100000] [--sqlite-only]

Requests pages of 100 entries of histories and pages of 100 groups, one after the other: first from a database
that nobody writes to, then beside a process that writes the given number of changes a second as a recorder
does (claims, transitions, a transaction for every 0.2 s), only without polling a provider. The last column is
the 99th percentile under load divided by that of the idle database.

The PostgreSQL server is a private one with the default settings for durability and vacuuming.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import quantiles
from typing import Any

from flask.testing import FlaskClient
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from api.app import create_app
from benchmarks.databases import databases, fill, ids_of
from recorder.clock import utc_now
from recorder.ledger.poll_outcome import Observation
from recorder.ledger.response_body import parse_body
from recorder.ledger.transitions import Rules, observe
from recorder.store.engine import check_url, open_engine
from recorder.store.leases import Claim, PollResult, claim_due, write_results
from recorder.store.transactions import writing
from recorder.store.watch_changes import Enrolment, enrol_many

GROUPS = "/api/v1/groups"
BUSY_GROUPS = 1000
"""The number of groups that change."""
ENTRIES_OF_A_GROUP = 1000
RULES = Rules(timedelta(seconds=30), timedelta(seconds=900), None)
FLUSH_SECONDS = 0.2
LEASE = timedelta(seconds=30)
DURABLE = ("fsync", "full_page_writes", "synchronous_commit", "autovacuum")


@dataclass(frozen=True, slots=True)
class Times:
    """The median and the 99th percentile of the times of requests, in seconds, and how many there were."""

    median: float
    p99: float
    requests: int


def main() -> None:
    arguments = _arguments()
    out = Console()
    table = Table(title=f"reading beside {arguments.changes} changes a second")
    for heading in (
        "database",
        "page",
        "requests",
        "idle p50 ms",
        "p99",
        "loaded p50 ms",
        "p99",
        "p99 ratio",
    ):
        table.add_column(heading, justify="left" if heading in {"database", "page"} else "right")
    with tempfile.TemporaryDirectory() as folder:
        for name, url in databases(folder, sqlite_only=arguments.sqlite_only):
            out.print(f"{name}: making {arguments.entries:,} entries ...")
            _prepare(url, arguments.entries)
            idle = _measured(url, arguments.seconds)
            with _recording(url, arguments.changes) as written:
                loaded = _measured(url, arguments.seconds)
            out.print(f"{name}: {written.value / arguments.seconds:,.0f} changes a second were written")
            for page, before in idle.items():
                after = loaded[page]
                figures = [
                    f"{1000 * each:.2f}" for times in (before, after) for each in (times.median, times.p99)
                ]
                ratio = f"{after.p99 / before.p99:.2f}"
                table.add_row(name, page, f"{before.requests:,} / {after.requests:,}", *figures, ratio)
    out.print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure how fast the API reads beside a recorder.")
    parser.add_argument("--changes", type=int, default=500, help="changes a second")
    parser.add_argument("--seconds", type=float, default=20, help="for each half, idle and loaded")
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--sqlite-only", action="store_true")
    return parser.parse_args()


def _prepare(url: str, entries: int) -> None:
    """Make histories to read, and groups that will change, each seen once."""
    fill(url, entries, entries // ENTRIES_OF_A_GROUP)
    engine = open_engine(check_url(url))
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for setting in DURABLE:
                connection.exec_driver_sql(f"ALTER SYSTEM SET {setting} = on")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
    names = [f"busy-{number:04d}" for number in range(BUSY_GROUPS)]
    wanted = dict.fromkeys(names, Enrolment())
    with writing(engine) as connection:
        enrol_many(connection, wanted, actor="benchmark", now=utc_now, rules=RULES)
    _Writer(engine).write(BUSY_GROUPS)
    engine.dispose()


def _measured(url: str, seconds: float) -> dict[str, Times]:
    """Request pages in turn for `seconds`; return the times by kind of page."""
    engine = open_engine(check_url(url), read_only=True)
    client = create_app(engine).test_client()
    histories = [f"{GROUPS}/{name}/history" for name in ids_of(url) if not name.startswith("busy-")]
    times: dict[str, list[float]] = {"history": [], "groups": []}
    until = time.perf_counter() + seconds
    for address in cycle(histories):
        times["history"].append(_timed(client, address))
        times["groups"].append(_timed(client, GROUPS))
        if time.perf_counter() > until:
            break
    engine.dispose()
    return {page: _times(taken) for page, taken in times.items()}


def _times(taken: list[float]) -> Times:
    cuts = quantiles(taken, n=100, method="inclusive")
    return Times(cuts[49], cuts[98], len(taken))


def _timed(client: FlaskClient, address: str) -> float:
    begun = time.perf_counter()
    answer = client.get(address)
    taken = time.perf_counter() - begun
    if answer.status_code != 200:
        raise SystemExit(f"{address}: {answer.get_data(as_text=True)}")
    return taken


@contextmanager
def _recording(url: str, changes: int) -> Iterator[Synchronized[int]]:
    """Write changes in another process while the block runs; yield how many were written in it."""
    spawning = multiprocessing.get_context("spawn")
    written, ready, stop = spawning.Value("q", 0), spawning.Event(), spawning.Event()
    process = spawning.Process(target=_record, args=(url, changes, written, ready, stop))
    process.start()
    ready.wait()
    written.value = 0
    try:
        yield written
    finally:
        stop.set()
        process.join()


def _record(url: str, changes: int, written: Synchronized[int], ready: Event, stop: Event) -> None:
    engine = open_engine(check_url(url))
    writer = _Writer(engine)
    begun, done = time.monotonic(), 0
    while not stop.is_set():
        due = int((time.monotonic() - begun) * changes) - done
        # A machine that is too slow for this many changes does not owe them for ever.
        count = min(due, changes)
        writer.write(count)
        written.value += count
        done += due
        ready.set()
        time.sleep(FLUSH_SECONDS)
    engine.dispose()


class _Writer:
    """Writes changes of the groups whose turn it is, as a recorder does."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._number = 0

    def write(self, count: int) -> None:
        """Claim up to `count` groups in one transaction, and write a change of each in another."""
        now = utc_now()
        with writing(self._engine) as connection:
            claims = claim_due(connection, owner="benchmark", now=now, lease_until=now + LEASE, limit=count)
        results = [self._changed(claim) for claim in claims]
        with writing(self._engine) as connection:
            write_results(connection, results)

    def _changed(self, claim: Claim) -> PollResult:
        self._number += 1
        now = utc_now()
        body = parse_body(json.dumps(_body(claim.watch.taskgroup_id, self._number)).encode())
        step = observe(claim.watch, Observation(now, now, body), RULES)
        return PollResult(claim, step.entries, step.watch, now, 10.0)


def _body(taskgroup_id: str, number: int) -> dict[str, Any]:
    return {
        "taskgroup_id": taskgroup_id,
        "metadata": {"customer": f"customer {len(taskgroup_id)}"},
        "created_at": "2026-11-24T11:59:00.000000Z",
        "status": {
            "num_task_runs": 10**9,
            "task_run_status_counts": {"completed": number, "running": 10**9 - number},
            "is_active": True,
            "status_message": None,
            "modified_at": None,
        },
    }


if __name__ == "__main__":
    main()
