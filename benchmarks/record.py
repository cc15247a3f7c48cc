"""Measure what a poll costs the recorder, beside loops that poll and insert without keeping a ledger.

    .venv/bin/python -m benchmarks.record
    .venv/bin/python -m benchmarks.record --groups 10000 --interval 10 --for 120

It needs Linux. Every figure is CPU time (user and system) of the polling process, per poll, and all of a run
poll the same provider, a process of its own. Responses are unchanged or changed, each with a recorder of its
own. Measuring begins two intervals after each group has been polled once, since all are due at first. Polls
that are overdue in the end count as late as they are by then. By how much intervals are stretched is shown
twice: as the recorder says, on average, and as it is, by how many polls the groups need for each one made.

For PostgreSQL it also prints what its tables wrote: the server runs without autovacuum and without full-page
writes, so that the figures do not depend on when it does either.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import fmean, quantiles

import click
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, func, select, text

from benchmarks.databases import databases
from benchmarks.fixed_upstream import fixed_upstream
from benchmarks.polling_loops import LOOPS, Loop
from benchmarks.timing import peak_mib
from recorder.clock import utc_now
from recorder.processes import Children
from recorder.store.engine import check_url, open_engine
from recorder.store.heartbeats import heartbeats
from recorder.store.migrate import downgrade, upgrade
from recorder.store.tables import entries, watches

WARM_UP = 8.0
LATENESS_EVERY = 2.0
_TICKS = os.sysconf("SC_CLK_TCK")

_TABLE = """
    SELECT n_tup_upd AS updates, n_tup_hot_upd AS hot, n_dead_tup AS dead,
        pg_current_wal_insert_lsn() - '0/0' AS wal
    FROM pg_stat_user_tables WHERE relname = 'watches'"""
_BACKENDS = (
    "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'recorder %' AND pid <> pg_backend_pid()"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What has added up by a moment: polls, entries, seconds of CPU; on PostgreSQL what was written."""

    polls: int
    entries: int
    cpu: float
    server_cpu: float
    updates: int = 0
    hot: int = 0
    dead: int = 0
    wal: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """One recorder's run: its readings before and after, how late polls were and how far apart those of one
    group (seconds), its memory, and how much longer it said that all intervals were, on average."""

    before: Reading
    after: Reading
    seconds: float
    lateness: list[float]
    apart: list[float]
    memory_mib: float
    stretch: float

    def per_poll(self, name: str) -> float:
        polls = max(1, self.after.polls - self.before.polls)
        return float(getattr(self.after, name) - getattr(self.before, name)) / polls


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU that a process has used, with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def reading(engine: Engine, pid: int) -> Reading:
    with engine.connect() as connection:
        open_polls, closed_polls, rows = connection.execute(
            select(
                select(func.coalesce(func.sum(watches.c.polls), 0)).scalar_subquery(),
                select(func.coalesce(func.sum(entries.c.previous_polls), 0)).scalar_subquery(),
                select(func.count()).select_from(entries).scalar_subquery(),
            )
        ).one()
        polls = int(open_polls) + int(closed_polls)
        if engine.dialect.name != "postgresql":
            return Reading(polls, rows, cpu_of(pid), 0.0)
        server_cpu = sum(cpu_of(backend) for backend in connection.scalars(text(_BACKENDS)))
        written = connection.execute(text(_TABLE)).one()
        return Reading(
            polls, rows, cpu_of(pid), server_cpu, written.updates, written.hot, written.dead, int(written.wal)
        )


@contextmanager
def recorder_of(folder: Path, url: str, upstream: str, ids: list[str], interval: float) -> Iterator[int]:
    """Record the groups for the duration of the block; yield the process id."""
    listed, children = folder / "ids", Children()
    listed.write_text("\n".join(ids))
    environment = {
        **os.environ,
        "PARALLEL_API_KEY": "benchmark",
        "PARALLEL_BASE_URL": upstream,
        "RECORDER_DATABASE_URL": url,
        "RECORDER_POLL_INTERVAL": str(interval),
        # Unchanged groups are polled as often as changed ones.
        "RECORDER_MAX_INTERVAL": str(interval),
        "RECORDER_RATE": "100000",
        "RECORDER_CONCURRENCY": "200",
    }
    try:
        with (folder / "log").open("wb") as output:
            enrolling = children.start(
                "enrolment", "watch", "--from-file", str(listed), env=environment, output=output
            )
            if enrolling.process.wait() != 0:
                raise click.ClickException((folder / "log").read_text())
            yield children.start("the recorder", "run", env=environment, output=output).process.pid
    finally:
        children.stop()


def record(url: str, upstream: str, ids: list[str], interval: float, seconds: float) -> Result:
    """Record groups in an empty database and measure for `seconds` after everything is warm."""
    engine = open_engine(check_url(url))
    upgrade(engine)
    with (
        tempfile.TemporaryDirectory(prefix="recorder-benchmark-") as name,
        recorder_of(Path(name), url, upstream, ids, interval) as pid,
    ):
        while any(asked_at is None for _, _, asked_at in due_times(engine).values()):
            time.sleep(LATENESS_EVERY)
        time.sleep(max(WARM_UP, 2 * interval))
        before, began, stretches = reading(engine, pid), time.monotonic(), list[float]()
        lateness, apart, planned = list[float](), list[float](), due_times(engine)
        while (left := began + seconds - time.monotonic()) > 0:
            time.sleep(min(left, LATENESS_EVERY, interval / 2))
            planned = compare(engine, planned, lateness, apart)
            stretches.append(told_stretch(engine))
        after = reading(engine, pid)
        ended, memory = time.monotonic(), peak_mib(pid)
        overdue = (utc_now() - due_at for _, due_at, _ in planned.values() if due_at is not None)
        lateness += [late.total_seconds() for late in overdue if late > timedelta()]
    result = Result(before, after, ended - began, lateness, apart, memory, fmean(stretches))
    downgrade(engine, "base", discard_ledger=True)
    engine.dispose()
    return result


Planned = dict[str, tuple[int, datetime | None, datetime | None]]


def due_times(engine: Engine) -> Planned:
    """Return for each group how many of its polls are known, when it is due, and when it was last asked."""
    polls = func.coalesce(watches.c.polls, 0) + 1_000_000 * watches.c.head_seq
    statement = select(watches.c.taskgroup_id, polls, watches.c.poll_due_at, watches.c.last_asked_at)
    with engine.connect() as connection:
        return {row[0]: (row[1], row[2], row[3]) for row in connection.execute(statement)}


def told_stretch(engine: Engine) -> float:
    """Return by how much the recorder says that intervals are longer."""
    with engine.connect() as connection:
        return max(float(each.report["rate"]["stretch"]) for each in heartbeats(connection))


def compare(engine: Engine, before: Planned, lateness: list[float], apart: list[float]) -> Planned:
    """Add how late the polls since `before` were, of groups that have had one since, and how long after the
    one before."""
    now = due_times(engine)
    for taskgroup_id, (polls, _, asked_at) in now.items():
        polls_before, due_at, asked_before = before[taskgroup_id]
        if polls == polls_before or due_at is None or asked_at is None or asked_before is None:
            continue
        lateness.append(max(0.0, (asked_at - due_at).total_seconds()))
        apart.append((asked_at - asked_before).total_seconds())
    return now


def loop_cost(loop: Loop, url: str, upstream: str, kind: str, polls: int) -> float:
    """Return the seconds of CPU that a poll costs a loop."""
    with loop(url, upstream, "benchmark") as poll:
        for number in range(polls // 5):
            poll(f"{kind}-{number}")
        began = time.process_time()
        for number in range(polls):
            poll(f"{kind}-{number}")
        return (time.process_time() - began) / polls


@click.command()
@click.option("--groups", default=1000, show_default=True, help="The number of groups.")
@click.option("--interval", default=5.0, show_default=True, help="Seconds between the polls of a group.")
@click.option("--for", "seconds", default=20.0, show_default=True, help="Seconds to measure.")
@click.option("--loop-polls", default=300, show_default=True, help="Polls of each loop; 0 for none.")
@click.option("--sqlite-only", is_flag=True, help="Leave out PostgreSQL.")
def main(groups: int, interval: float, seconds: float, loop_polls: int, *, sqlite_only: bool) -> None:
    """Measure what a poll costs the recorder and loops without a ledger."""
    out = Console(width=130)
    headings = ("polls/s", "CPU ms", "ratio", "late p50 s", "p99 s", "apart p50 s", "p99 s")
    table = Table("database", "responses", "by", *headings, "stretch", "real", "MiB")
    written = Table("responses", "server CPU ms", "WAL bytes", "updates", "HOT", "dead rows", "entries")
    with tempfile.TemporaryDirectory(prefix="recorder-benchmark-") as folder, fixed_upstream() as upstream:
        for name, url in databases(folder, sqlite_only=sqlite_only):
            for kind in ("unchanged", "changed"):
                out.print(f"recording {groups:,} groups in {name}, responses {kind} ...")
                ids = [f"{kind}-{number}" for number in range(groups)]
                result = record(url, upstream, ids, interval, seconds)
                own = result.per_poll("cpu")
                table.add_row(name, kind, "recorder", *_cells(result, own, groups / interval))
                for label, loop in LOOPS.items() if loop_polls else ():
                    cost = loop_cost(loop, url, upstream, kind, loop_polls)
                    table.add_row("", "", label, "", f"{cost * 1e3:.2f}", f"{cost / own:.1f}")
                if name == "PostgreSQL":
                    written.add_row(kind, *_written_cells(result))
    out.print(table)
    if not sqlite_only:
        out.print("PostgreSQL, per poll (dead rows: in all)")
        out.print(written)


def _cells(result: Result, own: float, needed: float) -> list[str]:
    late, apart = (quantiles(each or [0.0, 0.0], n=100) for each in (result.lateness, result.apart))
    rate = (result.after.polls - result.before.polls) / result.seconds
    return [
        f"{rate:.0f}",
        f"{own * 1e3:.2f}",
        "1",
        f"{late[49]:.2f}",
        f"{late[98]:.2f}",
        f"{apart[49]:.1f}",
        f"{apart[98]:.1f}",
        f"{result.stretch:.2f}",
        f"{needed / max(rate, 1e-3):.2f}",
        f"{result.memory_mib:.0f}",
    ]


def _written_cells(result: Result) -> list[str]:
    updates = result.after.updates - result.before.updates
    hot = (result.after.hot - result.before.hot) / max(1, updates)
    return [
        f"{result.per_poll('server_cpu') * 1e3:.2f}",
        f"{result.per_poll('wal'):.0f}",
        f"{result.per_poll('updates'):.2f}",
        f"{hot:.0%}",
        str(result.after.dead),
        f"{result.per_poll('entries'):.3f}",
    ]


if __name__ == "__main__":
    main()
