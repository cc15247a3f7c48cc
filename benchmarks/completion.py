"""Measure how fast the API computes statistics over many episodes.

    python benchmarks/completion.py [--episodes 100000] [--requests 40]

Fills a SQLite file, and a database of a private PostgreSQL server, and requests `/api/v1/completion` with
different parameters. The last two columns depend less on the machine than milliseconds: they compare the time
with that of reading the durations with the bare driver, and with that of the same request without the bounds
of quantiles. Requests with and without bounds alternate, and the ratio is the median over all turns.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, insert, text

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from api.app import create_app
from recorder.completion.labels import label_text
from recorder.completion.quantile_bounds import Envelopes
from recorder.completion.summary import SUMMARY_RULES
from recorder.store.engine import check_url, open_engine
from recorder.store.migrate import upgrade
from recorder.store.tables import episodes, group_labels, watches
from recorder.store.transactions import reading, writing
from tests.support.postgres import running_postgres

START = datetime(2026, 11, 1, tzinfo=UTC)
PROCESSORS = {"lite": 40, "base": 60, "core": 180, "pro": 360, "ultra": 900}
OPEN_SHARE = 0.02
QUESTIONS = {
    "all": "",
    "by processor (5 values)": "?group_by=metadata.processor",
    "by customer (500 values)": "?group_by=metadata.customer",
    "one processor": "?metadata.processor=pro",
    "observed starts": "?enrolled=prospective",
    "the newest tenth": f"?from={(START + timedelta(days=27)).isoformat().replace('+00:00', 'Z')}",
    "since creation": "?since=created",
}
LABELLED = """INSERT INTO labelled_durations
    SELECT key, value, e.taskgroup_id, number, started_at, first_sight,
    duration_seconds, duration_earliest_seconds, duration_latest_seconds, completed_latest
    FROM episodes e JOIN group_labels l ON l.taskgroup_id = e.taskgroup_id WHERE completed_at IS NOT NULL"""


def main() -> None:
    arguments = _arguments()
    out = Console()
    table = Table(title=f"GET /api/v1/completion over {arguments.episodes:,} episodes")
    for heading in ("database", "question", "p50 ms", "p99 ms", "times the driver", "times without bounds"):
        table.add_column(heading, justify="left" if heading in {"database", "question"} else "right")
    with tempfile.TemporaryDirectory() as folder, running_postgres() as postgres:
        for name, url in {"SQLite": f"sqlite:///{folder}/recorder.db", "PostgreSQL": postgres}.items():
            out.print(f"filling {name} ...")
            for row in _measured(url, arguments.episodes, arguments.requests):
                table.add_row(name, *row)
    out.print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure how fast the API computes statistics over many episodes."
    )
    parser.add_argument("--episodes", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=40, help="of each kind")
    return parser.parse_args()


def _measured(url: str, count: int, requests: int) -> Iterator[tuple[str, ...]]:
    writer = open_engine(check_url(url))
    upgrade(writer)
    fill_episodes(writer, count)
    writer.dispose()
    reader = open_engine(check_url(url), read_only=True)
    client = create_app(reader).test_client()
    baseline = _milliseconds(lambda: _read_durations(reader), requests)[0]
    for name, query in QUESTIONS.items():
        p50, p99 = _milliseconds(lambda query=query: _ask(client, query), requests)
        ratio = statistics.median(_times_without_bounds(client, query) for _ in range(requests))
        yield name, f"{p50:.0f}", f"{p99:.0f}", f"{p50 / baseline:.1f}", f"{ratio:.2f}"
    reader.dispose()


def _times_without_bounds(client: Any, query: str) -> float:
    with patch.object(Envelopes, "bounds", lambda *_: (None, None)):
        begun = time.perf_counter()
        _ask(client, query)
        without = time.perf_counter() - begun
    begun = time.perf_counter()
    _ask(client, query)
    return (time.perf_counter() - begun) / without


def _ask(client: Any, query: str) -> None:
    answer = client.get(f"/api/v1/completion{query}")
    if answer.status_code != 200:
        raise SystemExit(answer.get_data(as_text=True))


def _read_durations(engine: Engine) -> None:
    with reading(engine) as connection:
        cursor = connection.connection.cursor()
        cursor.execute(
            "SELECT duration_seconds, duration_earliest_seconds, duration_latest_seconds FROM episodes"
        )
        cursor.fetchall()
        cursor.close()


def _milliseconds(work: Callable[[], None], times: int) -> tuple[float, float]:
    """Return the median and the 99th percentile of the time that `work` takes, in milliseconds."""
    taken = []
    for _ in range(times + 3):
        begun = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begun) * 1000)
    taken = sorted(taken[3:])
    return statistics.median(taken), taken[min(len(taken) - 1, int(0.99 * len(taken)))]


def fill_episodes(engine: Engine, count: int) -> None:
    """Add groups with one episode each, as recording would, a few of them still open."""
    chance = random.Random(1)  # noqa: S311 - figures for a benchmark
    made = (_group(chance, number, count) for number in range(count))
    while batch := list(islice(made, 5000)):
        with writing(engine) as connection:
            connection.execute(insert(watches), [watch for watch, _, _ in batch])
            connection.execute(insert(episodes), [episode for _, episode, _ in batch])
            connection.execute(insert(group_labels), [label for _, _, labels in batch for label in labels])
            connection.execute(
                text(
                    "INSERT INTO summaries (taskgroup_id, seq, rules, created_at, summary) "
                    "SELECT taskgroup_id, head_seq, :rules, enrolled_at, '{}' FROM watches w "
                    "WHERE NOT EXISTS (SELECT 1 FROM summaries s WHERE s.taskgroup_id = w.taskgroup_id)"
                ),
                {"rules": SUMMARY_RULES},
            )
    with writing(engine) as connection:
        connection.execute(text(LABELLED))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")


def _group(
    chance: random.Random, number: int, count: int
) -> tuple[dict[str, Any], dict[str, Any], list[Any]]:
    taskgroup_id = f"tgrp_{chance.getrandbits(128):032x}"
    processor = chance.choice(list(PROCESSORS))
    started = START + timedelta(days=30) * (number / count)
    seconds = round(chance.lognormvariate(0, 0.5) * PROCESSORS[processor], 6)
    ended = started + timedelta(seconds=seconds)
    half = timedelta(seconds=5)
    over = chance.random() > OPEN_SHARE
    watch = {
        "taskgroup_id": taskgroup_id,
        "state": "watching",
        "enrolled_at": started - half,
        "head_seq": 3,
        "head_kind": "status",
        "head_at": started,
        "head_digest": "0" * 64,
        "last_asked_at": ended,
        "last_seen_at": ended,
        "polls": 7,
    }
    episode = {
        "taskgroup_id": taskgroup_id,
        "number": 1,
        "started_at": started,
        "started_earliest": started - half,
        "started_latest": started + half,
        "started_basis": "midpoint",
        "completed_at": ended if over else None,
        "completed_earliest": ended - half if over else None,
        "completed_latest": ended + half if over else None,
        "completed_basis": "midpoint" if over else None,
        "duration_seconds": seconds if over else None,
        "duration_earliest_seconds": max(0.0, seconds - 10) if over else None,
        "duration_latest_seconds": seconds + 10 if over else None,
        "seen_seq": None if over else 3,
        "seen_at": None if over else started,
        "first_sight": chance.random() < 0.1,
        "outcome": "completed" if over else None,
        "runs_total": 100,
        "runs_completed": 100 if over else 50,
        "gap_seconds": 0.0,
        "polls": 7,
    }
    metadata = {"processor": processor, "customer": f"c{chance.randrange(500)}", "batch": f"b{number}"}
    labels = [
        {"taskgroup_id": taskgroup_id, "key": label_text(key), "value": label_text(value)}
        for key, value in metadata.items()
    ]
    return watch, episode, labels


if __name__ == "__main__":
    main()
