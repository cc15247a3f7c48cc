"""Record 200 polls a second through random faults, and fail if the recorder grows.

    .venv/bin/python -m benchmarks.soak --for 3600 --seed 1

It needs Linux. Every few seconds one line shows the memory, the file descriptors and the threads of the
recorder, and the size of its WAL. At the end the recorder must stop cleanly and the ledgers must verify.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click
import httpx

from recorder.processes import Child, Children

GROUPS = 600
INTERVAL = "3"
"""In seconds, for all groups: 600 of them make 200 polls a second."""
SAMPLE_SECONDS = 5.0
WARM_UP = 0.2
"""The share of the samples that are ignored: caches fill and the database grows to its first pages."""
FAULTS = ("server_error", "refuse", "rate_limit", "hang", "close", "unauthorized", "not_found")
WAL_MIB = 8.0
"""The WAL may be this large after the last reader has ended."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a recorder uses."""

    memory_mib: float
    descriptors: int
    threads: int
    wal_mib: float


def sample(pid: int, wal: Path) -> Sample:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines())
    return Sample(
        memory_mib=int(status["VmRSS"].split()[0]) / 1024,
        descriptors=sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
        threads=int(status["Threads"]),
        wal_mib=wal.stat().st_size / 2**20 if wal.exists() else 0.0,
    )


def outages(seconds: float, chance: random.Random) -> Iterator[str]:
    """Yield outages of the provider, as `recorder simulate` takes them."""
    start = chance.uniform(10, 30)
    while start < seconds:
        end = start + chance.uniform(1, 8)
        yield f"{start:.1f}-{end:.1f}:{chance.choice(FAULTS)}"
        start = end + chance.uniform(5, 30)


def long_reader(file: Path, chance: random.Random, _pid: int) -> None:
    """Hold a snapshot while the recorder writes, so that its WAL grows."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM entries").fetchone()
        time.sleep(chance.uniform(2, 10))


def lock(file: Path, chance: random.Random, _pid: int) -> None:
    """Hold the database's lock, for longer than the recorder waits for it now and then."""
    with closing(sqlite3.connect(file, isolation_level=None, timeout=30)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        time.sleep(chance.uniform(0.1, 7))


def freeze(_file: Path, chance: random.Random, pid: int) -> None:
    """Stop the process for a while, as a busy or sleeping machine does."""
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(chance.uniform(0.2, 4))
    finally:
        os.kill(pid, signal.SIGCONT)


TROUBLES: list[Callable[[Path, random.Random, int], None]] = [long_reader, lock, freeze]


@contextmanager
def recorder_at_work(folder: Path, seconds: float, chance: random.Random) -> Iterator[tuple[Child, Children]]:
    """Start a simulator and a recorder of its groups."""
    children, environment = Children(), {**os.environ}
    log = folder / "simulate.log"
    try:
        with log.open("wb") as output:
            faults = [word for outage in outages(seconds, chance) for word in ("--outage", outage)]
            children.start("the simulator", "simulate", "--port", "0", *faults, output=output)
        url = printed_url(log)
        environment |= {
            "PARALLEL_API_KEY": "soak",
            "PARALLEL_BASE_URL": url,
            "RECORDER_DATABASE_URL": f"sqlite:///{folder / 'recorder.db'}",
            "RECORDER_POLL_INTERVAL": INTERVAL,
            "RECORDER_MAX_INTERVAL": INTERVAL,
            "RECORDER_SETTLED_INTERVAL": INTERVAL,
            "RECORDER_REQUEST_TIMEOUT": "5",
            "RECORDER_RATE": "400",
        }
        ids = "\n".join(create(url))
        folder.joinpath("ids").write_text(ids)
        run_to_end(folder, environment, "watch", "--from-file", str(folder / "ids"))
        with (folder / "run.log").open("wb") as output:
            recorder = children.start("the recorder", "run", env=environment, output=output)
        yield recorder, children
        recorder.process.terminate()
        if recorder.process.wait(15) != 0:
            raise click.ClickException(f"the recorder ended with {recorder.process.returncode}")
        run_to_end(folder, environment, "verify")
    finally:
        children.stop()


def run_to_end(folder: Path, environment: dict[str, str], *arguments: str) -> None:
    children = Children()
    with (folder / f"{arguments[0]}.log").open("wb") as output:
        child = children.start(arguments[0], *arguments, env=environment, output=output)
    if child.process.wait() != 0:
        raise click.ClickException(f"recorder {arguments[0]}: {(folder / f'{arguments[0]}.log').read_text()}")


def create(url: str) -> Iterator[str]:
    """Create the groups; half of them change all the time."""
    with httpx.Client(base_url=f"{url}/v1beta/tasks", headers={"x-api-key": "soak"}, trust_env=False) as http:
        for number in range(GROUPS):
            group = http.post("/groups", json={}).raise_for_status().json()["taskgroup_id"]
            runs = {"inputs": [{"input": "q", "processor": "ultra" if number % 2 else "lite"}] * 20}
            http.post(f"/groups/{group}/runs", json=runs).raise_for_status()
            yield group


def printed_url(log: Path) -> str:
    while not (words := log.read_text().partition("simulated upstream at ")[2].split()):
        time.sleep(0.1)
    return words[0]


def growth(samples: list[Sample]) -> list[str]:
    """Compare the first with the last third of the samples; name what has grown."""
    kept = samples[int(len(samples) * WARM_UP) :]
    third = max(1, len(kept) // 3)
    first, last = kept[:third], kept[-third:]

    def rise(value: Callable[[Sample], float], of: Callable[[Iterable[float]], float] = median) -> float:
        return of(map(value, last)) - of(map(value, first))

    complaints = []
    if (more := rise(lambda each: each.memory_mib)) > max(5.0, 0.1 * median(s.memory_mib for s in first)):
        complaints.append(f"memory grew by {more:.1f} MiB")
    # Idle connections are kept, more or less of them: a leak raises even the lowest number.
    if (more := rise(lambda each: each.descriptors, min)) > 10:
        complaints.append(f"{more:g} more file descriptors")
    if (more := rise(lambda each: each.threads)) > 2:
        complaints.append(f"{more:g} more threads")
    return complaints


@click.command()
@click.option("--for", "seconds", type=float, default=3600.0, show_default=True, help="Seconds to record.")
@click.option("--seed", type=int, default=1, show_default=True, help="The seed of the faults.")
def main(seconds: float, seed: int) -> None:
    """Record 200 polls a second through random faults, and fail if the recorder grows."""
    chance, samples = random.Random(seed), list[Sample]()  # noqa: S311 - faults, not secrecy
    with tempfile.TemporaryDirectory(prefix="recorder-soak-") as name:
        folder = Path(name)
        file, wal = folder / "recorder.db", folder / "recorder.db-wal"
        with recorder_at_work(folder, seconds, chance) as (recorder, children):
            began = time.monotonic()
            trouble_at = began + chance.uniform(5, 15)
            click.echo(f"{'seconds':>8} {'MiB':>7} {'files':>6} {'threads':>8} {'WAL MiB':>8}")
            while (now := time.monotonic()) < began + seconds:
                if (ended := children.ended()) is not None:
                    raise click.ClickException(
                        f"{ended.name} ended: {(folder / 'run.log').read_text()[-2000:]}"
                    )
                if now >= trouble_at:
                    chance.choice(TROUBLES)(file, chance, recorder.process.pid)
                    trouble_at = time.monotonic() + chance.uniform(5, 20)
                samples.append(sample(recorder.process.pid, wal))
                show(now - began, samples[-1])
                time.sleep(SAMPLE_SECONDS)
            # A few more writes after the last reader.
            time.sleep(SAMPLE_SECONDS)
            last = sample(recorder.process.pid, wal)
        log = (folder / "run.log").read_text()
    complaints = growth(samples)
    if last.wal_mib > WAL_MIB:
        complaints.append(f"the WAL kept {last.wal_mib:.1f} MiB")
    if "Traceback" in log:
        complaints.append("the log has tracebacks")
    click.echo(log.splitlines()[-1])
    for complaint in complaints:
        click.echo(f"Error: {complaint}", err=True)
    sys.exit(1 if complaints else 0)


def show(seconds: float, of: Sample) -> None:
    click.echo(f"{seconds:8.0f} {of.memory_mib:7.1f} {of.descriptors:6} {of.threads:8} {of.wal_mib:8.1f}")


if __name__ == "__main__":
    main()
