"""How fast the API reads, beside a view written by hand.

    python benchmarks/read.py [--entries 200000] [--groups 100] [--seconds 3]

Fills a SQLite file with ledgers as recording makes them, and asks the app for first pages of 100 entries of
histories, oldest and newest first, and for latest statuses. The floor is Flask, sqlite3 and orjson over the
same file with the same answer (which is compared), by hand and for usual entries only: no check of what is
asked, no ETag, no entry that does not fit the columns, no open gap.

The two take turns, so that what else the machine does slows both; the ratio is the median of those of the
turns. The same follows with a tenth of the entries: more of them should not make reading slower.

With --profile, where the time of a page goes instead.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import orjson
from flask import Flask, Response, request
from flask.testing import FlaskClient
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from api.app import create_app
from recorder.store.engine import check_url, open_engine
from recorder.store.schema import upgrade
from tests.audit.ledgers import random_ledgers, write

PAGE = 100
TROUBLE = 0.02
"""How often something else than an answer comes."""
_GROUPS_AT_ONCE = 20
_COUNTS = ("queued", "action_required", "running", "completed", "failed", "cancelling", "cancelled")


def main() -> None:
    arguments = _arguments()
    out = Console()
    table = Table(title=f"reading, median times on SQLite; a page is {PAGE} entries")
    for heading in ("entries", "question", "floor ms", "API ms", "ratio"):
        table.add_column(heading, justify="left" if heading == "question" else "right")
    for entries in (arguments.entries, arguments.entries // 10):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "recorder.db"
            out.print(f"filling {entries:,} entries ...")
            _fill(path, entries, arguments.groups)
            if arguments.profile:
                _profile(path)
                return
            for question, floor, ours, ratio in _measured(path, arguments.seconds):
                row = (f"{1000 * floor:.2f}", f"{1000 * ours:.2f}", f"{ratio:.2f}")
                table.add_row(f"{entries:,}", question, *row)
    out.print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How fast the API reads.")
    parser.add_argument("--entries", type=int, default=200_000)
    parser.add_argument("--groups", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=3, help="for each question")
    parser.add_argument("--profile", action="store_true")
    return parser.parse_args()


def _fill(path: Path, entries: int, groups: int) -> None:
    engine = open_engine(check_url(f"sqlite:///{path}"))
    upgrade(engine)
    made = random_ledgers(1, groups, entries // groups, oddity=0, trouble=TROUBLE)
    while batch := list(islice(made, _GROUPS_AT_ONCE)):
        write(engine, batch)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")
    engine.dispose()


def _questions(path: Path) -> dict[str, list[str]]:
    """The addresses to ask, by what they ask for."""
    with closing(sqlite3.connect(path)) as connection:
        heads = connection.execute("SELECT taskgroup_id, head_seq FROM watches ORDER BY taskgroup_id")
        ids = [(taskgroup_id, head_seq) for taskgroup_id, head_seq in heads if taskgroup_id.isascii()]
    base = "/api/v1/groups"
    return {
        "history, oldest": [f"{base}/{name}/history" for name, _ in ids],
        "history, newest": [f"{base}/{name}/history?order=desc" for name, _ in ids],
        "status": [f"{base}/{name}/status" for name, _ in ids],
    }


def _measured(path: Path, seconds: float) -> Iterator[tuple[str, float, float, float]]:
    """Yield for each question the median times of the floor and of the API, in seconds, and their ratio."""
    engine = open_engine(check_url(f"sqlite:///{path}"), read_only=True)
    floor, ours = _floor(path).test_client(), create_app(engine).test_client()
    for question, addresses in _questions(path).items():
        _require_same_answers(floor, ours, addresses)
        turns: list[tuple[float, float]] = []
        until = time.perf_counter() + seconds
        for address in cycle(addresses):
            turns.append((_timed(floor, address), _timed(ours, address)))
            if time.perf_counter() > until:
                break
        plain, said = (median(times) for times in zip(*turns, strict=True))
        yield question, plain, said, median(taken / least for least, taken in turns)
    engine.dispose()


def _timed(client: FlaskClient, address: str) -> float:
    begun = time.perf_counter()
    answer = client.get(address)
    taken = time.perf_counter() - begun
    if answer.status_code != 200:
        raise SystemExit(f"{address}: {answer.get_data(as_text=True)}")
    return taken


def _require_same_answers(floor: FlaskClient, ours: FlaskClient, addresses: list[str]) -> None:
    for address in addresses:
        plain, said = (json.loads(client.get(address).get_data()) for client in (floor, ours))
        # What belongs to the moment of asking, and to the API's cursors, is not the floor's to know.
        for body in (plain, said):
            body.pop("next", None)
        if "items" in said and said["items"][0]["seq"] is None:
            said["items"].pop(0)
            plain["items"].pop()
        if plain != said:
            raise SystemExit(f"the floor answers something else at {address}:\n{plain}\n{said}")


def _profile(path: Path) -> None:
    engine = open_engine(check_url(f"sqlite:///{path}"), read_only=True)
    client = create_app(engine).test_client()
    addresses = cycle(_questions(path)["history, oldest"])
    for _ in range(20):
        _timed(client, next(addresses))
    profile = cProfile.Profile()
    with profile:
        for _ in range(200):
            _timed(client, next(addresses))
    pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    engine.dispose()


def _floor(path: Path) -> Flask:
    """The same answers, written by hand for entries that are as usual."""
    app = Flask("floor")
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row

    @app.get("/api/v1/groups/<taskgroup_id>/history")
    def history(taskgroup_id: str) -> Response:
        order = "DESC" if request.args.get("order") == "desc" else "ASC"
        rows = connection.execute(_HISTORY.format(order=order), (taskgroup_id, PAGE + 1)).fetchall()
        items = [_item(row) for row in rows[:PAGE]]
        following = f"{request.path}?cursor={items[-1]['seq']}" if len(rows) > PAGE else None
        return Response(orjson.dumps({"items": items, "next": following}), mimetype="application/json")

    @app.get("/api/v1/groups/<taskgroup_id>/status")
    def status(taskgroup_id: str) -> Response:
        row = connection.execute(_LATEST, (taskgroup_id,)).fetchone()
        item = _item(row)
        members = ("phase", "status", "seq", "observed_at", "last_seen_at", "polls", "anomalies", "digest")
        body = {"taskgroup_id": taskgroup_id, **{name: item[name] for name in members}}
        return Response(orjson.dumps(body), mimetype="application/json")

    return app


_COLUMNS = """SELECT e.*, coalesce(n.previous_last_seen_at, w.last_seen_at) AS until_seen_at,
    coalesce(n.previous_polls, w.polls) AS until_polls"""
_HISTORY = f"""{_COLUMNS} FROM entries e
    LEFT JOIN entries n ON n.taskgroup_id = e.taskgroup_id AND n.seq = e.seq + 1
    LEFT JOIN watches w ON w.taskgroup_id = e.taskgroup_id AND w.head_seq = e.seq
    WHERE e.taskgroup_id = ? ORDER BY e.seq {{order}} LIMIT ?"""
_LATEST = f"""{_COLUMNS} FROM watches v
    JOIN entries e ON e.taskgroup_id = v.taskgroup_id AND e.seq = v.status_seq
    LEFT JOIN entries n ON n.taskgroup_id = e.taskgroup_id AND n.seq = e.seq + 1
    LEFT JOIN watches w ON w.taskgroup_id = e.taskgroup_id AND w.head_seq = e.seq
    WHERE v.taskgroup_id = ?"""


def _item(row: sqlite3.Row) -> dict[str, Any]:
    kind = row["kind"]
    said = kind == "status"
    gap = {
        "from": row["gap_from"],
        "to": row["at"],
        "cause": row["gap_cause"],
        "attempts": row["gap_attempts"],
        "unpolled_seconds": row["gap_unpolled_seconds"],
        "http_status": row["gap_http_status"],
        "detail": row["gap_detail"],
    }
    watch = {"action": row["watch_action"], "actor": row["watch_actor"], "note": row["watch_note"]}
    return {
        "seq": row["seq"],
        "kind": kind,
        "at": row["at"],
        "observed_at": row["at"] if said else None,
        "last_seen_at": row["until_seen_at"] if said else None,
        "polls": row["until_polls"] if said else None,
        "phase": row["phase"],
        "status": _status(row) if said else None,
        "metadata": json.loads(row["metadata"]) if row["metadata"] else None,
        "created_at": row["created_at"],
        "anomalies": json.loads(row["anomalies"]) if said else None,
        "gap": gap if kind == "gap" else None,
        "watch": watch if kind == "watch" else None,
        "digest": row["digest"],
    }


def _status(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "num_task_runs": row["num_task_runs"],
        "task_run_status_counts": {name: row[name] for name in _COUNTS if row[name] is not None},
        "is_active": None if row["is_active"] is None else bool(row["is_active"]),
        "status_message": row["status_message"],
        "modified_at": row["modified_at"],
    }


if __name__ == "__main__":
    main()
