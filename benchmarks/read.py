"""Measure how fast the API reads.

    python benchmarks/read.py [--entries 100000 1000000] [--seconds 3] [--sqlite-only] [--profile]

Requests first pages of 100 entries of histories, oldest and newest first, and latest statuses, from databases
of the given sizes on SQLite and on a private PostgreSQL server. They contain ledgers of 1,000 entries as
recording writes them, and copies of these under other ids. The baseline is `benchmarks/floor.py`, whose
hand-written responses must be the same. The two are timed alternately, and the ratio is the median over all
turns. Reading should not slow down as entries are added: the last column is the API's time divided by that
at the first size.

With --profile, prints a profile of reading a page instead.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

from flask.testing import FlaskClient
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from api.app import create_app
from benchmarks.databases import databases, ids_of, sizes_of
from benchmarks.floor import PAGE, floor_app
from benchmarks.timing import medians, turns_of
from recorder.store.engine import check_url, open_engine

GROUPS = "/api/v1/groups"
COMPARED = 100
"""The number of addresses at which the responses are compared."""


def main() -> None:
    arguments = _arguments()
    out = Console()
    table = Table(title=f"reading, median times; a page is {PAGE} entries")
    for heading in ("database", "entries", "question", "floor ms", "API ms", "ratio", "growth"):
        table.add_column(heading, justify="left" if heading in {"database", "question"} else "right")
    with tempfile.TemporaryDirectory() as folder:
        for name, url in databases(folder, sqlite_only=arguments.sqlite_only):
            first: dict[str, float] = {}
            out.print(f"{name}:")
            for entries in sizes_of(url, arguments.entries, out):
                if arguments.profile:
                    _profile(url)
                    return
                for question, floor, ours, ratio in _measured(url, arguments.seconds):
                    growth = ours / first.setdefault(question, ours)
                    figures = (f"{1000 * floor:.2f}", f"{1000 * ours:.2f}", f"{ratio:.2f}", f"{growth:.2f}")
                    table.add_row(name, f"{entries:,}", question, *figures)
    out.print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure how fast the API reads.")
    parser.add_argument("--entries", type=int, nargs="+", default=[100_000, 1_000_000], help="ascending")
    parser.add_argument("--seconds", type=float, default=3, help="for each question")
    parser.add_argument("--sqlite-only", action="store_true")
    parser.add_argument("--profile", action="store_true")
    return parser.parse_args()


def _questions(url: str) -> dict[str, list[str]]:
    """The addresses to request, by kind of question."""
    names = ids_of(url)
    return {
        "history, oldest": [f"{GROUPS}/{name}/history" for name in names],
        "history, newest": [f"{GROUPS}/{name}/history?order=desc" for name in names],
        "status": [f"{GROUPS}/{name}/status" for name in names],
    }


def _measured(url: str, seconds: float) -> Iterator[tuple[str, float, float, float]]:
    """Yield each question with the median times of the floor and of the API, in seconds, and their ratio."""
    engine = open_engine(check_url(url), read_only=True)
    floor, ours = floor_app(url).test_client(), create_app(engine).test_client()
    for question, addresses in _questions(url).items():
        _require_same_answers(floor, ours, addresses[:COMPARED])
        turns = turns_of(
            lambda at: _timed(floor, at), lambda at: _timed(ours, at), addresses, addresses, seconds
        )
        yield question, *medians(turns)
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
        plain, full = (json.loads(client.get(address).get_data()) for client in (floor, ours))
        # The floor has neither the API's cursors nor gaps that are open at the time of the request.
        for body in (plain, full):
            body.pop("next", None)
        if "items" in full and full["items"][0]["seq"] is None:
            full["items"].pop(0)
            plain["items"].pop()
        if plain != full:
            raise SystemExit(f"the floor responds differently at {address}:\n{plain}\n{full}")


def _profile(url: str) -> None:
    engine = open_engine(check_url(url), read_only=True)
    client = create_app(engine).test_client()
    addresses = cycle(_questions(url)["history, oldest"])
    for _ in range(20):
        _timed(client, next(addresses))
    profile = cProfile.Profile()
    with profile:
        for _ in range(200):
            _timed(client, next(addresses))
    pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    engine.dispose()


if __name__ == "__main__":
    main()
