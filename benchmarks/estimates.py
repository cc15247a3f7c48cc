"""Measure what the estimates of completion cost in pages of groups.

    python -m benchmarks.estimates [--episodes 100000] [--requests 30] [--sqlite-only]

Fills a SQLite file, and a database of a private PostgreSQL server, with completed episodes and 1,000 active
groups, and requests pages of 100 and of 1,000 of these, one group, and its status, which has no estimate.
Requests with and without estimates alternate, and the ratio is the median over all turns: while nothing is
written, and with a write before each request, after which the episodes are read anew.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from flask.testing import FlaskClient
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from api.app import create_app
from benchmarks.completion import fill_episodes
from benchmarks.databases import databases
from recorder.clock import utc_now
from recorder.queries import eta
from recorder.store.engine import check_url, open_engine
from recorder.store.heartbeats import Heartbeat, beat
from recorder.store.migrate import upgrade
from recorder.store.transactions import writing
from tests.support.audit_ledgers import random_ledgers, write

ACTIVE = 1000
_AT_ONCE = 100


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what the estimates of completion cost.")
    parser.add_argument("--episodes", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=30, help="of each kind")
    parser.add_argument("--sqlite-only", action="store_true")
    arguments = parser.parse_args()
    out = Console()
    table = Table(title=f"pages of groups beside {arguments.episodes:,} episodes, medians")
    for heading in ("database", "data", "page", "ms", "ms without estimates", "ratio"):
        table.add_column(heading, justify="right" if "ms" in heading or heading == "ratio" else "left")
    with tempfile.TemporaryDirectory() as folder:
        for name, url in databases(folder, sqlite_only=arguments.sqlite_only):
            out.print(f"filling {name} ...")
            for row in _measured(url, arguments.episodes, arguments.requests):
                table.add_row(name, *row)
    out.print(table)


def _measured(url: str, episodes: int, requests: int) -> Iterator[tuple[str, ...]]:
    writer = open_engine(check_url(url))
    upgrade(writer)
    fill_episodes(writer, episodes)
    made = random_ledgers(1, 2 * ACTIVE, 12, oddity=0, trouble=0)
    while batch := list(islice(made, _AT_ONCE)):
        write(writer, batch)
    reader = open_engine(check_url(url), read_only=True)
    client = create_app(reader).test_client()
    (group,) = client.get("/api/v1/groups?phase=active&limit=1").get_json()["items"]
    address = f"/api/v1/groups/{group['taskgroup_id']}"
    pages = {
        "1,000 groups": "/api/v1/groups?phase=active&limit=1000",
        "100 groups": "/api/v1/groups?phase=active&limit=100",
        "one group": address,
        "its status": f"{address}/status",
    }
    for data, prepare in {"unchanged": lambda: None, "changed": lambda: _commit(writer)}.items():
        for page, path in pages.items():
            yield data, page, *_figures(client, path, prepare, requests)
    writer.dispose()
    reader.dispose()


def _figures(
    client: FlaskClient, path: str, prepare: Callable[[], None], requests: int
) -> tuple[str, str, str]:
    none = patch.object(eta, "_eta", lambda *_: eta.NoEstimate("not measured"))
    turns = []
    for _ in range(requests + 1):
        prepare()
        ours = _timed(client, path)
        prepare()
        with none if "/status" not in path else nullcontext():
            turns.append((ours, _timed(client, path)))
    turns = turns[1:]
    with_it, without = (median(column) for column in zip(*turns, strict=True))
    ratio = median(one / other for one, other in turns)
    return f"{1000 * with_it:.1f}", f"{1000 * without:.1f}", f"{ratio:.2f}"


def _timed(client: FlaskClient, path: str) -> float:
    begun = time.perf_counter()
    answer: Any = client.get(path)
    taken = time.perf_counter() - begun
    if answer.status_code != 200:
        raise SystemExit(answer.get_data(as_text=True))
    return taken


def _commit(engine: Engine) -> None:
    now = utc_now()
    with writing(engine) as connection:
        beat(connection, Heartbeat("benchmark", "host", 1, now, now, {}, {}))


if __name__ == "__main__":
    main()
