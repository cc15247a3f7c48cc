"""Measure what the dashboard's pages cost the server, and how large they are.

    python benchmarks/pages.py [--groups 100 100000] [--entries 100000]

Requests each page from SQLite databases with so many groups of a few entries each and one group with a
history of so many. Prints processor time, the median of several requests, and its ratio to that of a bare
page of the same size, then the size plain and compressed. The last column is the time of a request that
gets 304.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from flask import Flask, Response
from flask.testing import FlaskClient
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from api.app import create_app
from benchmarks.databases import copy_groups, fill, ids_of, lengthen
from recorder.store.engine import check_url, open_engine

REQUESTS = 5
SOME_GROUPS, ENTRIES_EACH = 100, 6


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what the dashboard's pages cost.")
    parser.add_argument("--groups", type=int, nargs="+", default=[100, 100_000], help="multiples of 100")
    parser.add_argument("--entries", type=int, default=100_000, help="of the longest history")
    arguments = parser.parse_args()
    table = Table(title="pages, median processor time")
    for heading in ("groups", "page", "ms", "ratio", "kB", "compressed", "304 ms"):
        table.add_column(heading, justify="left" if heading == "page" else "right")
    for groups in arguments.groups:
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{folder}/recorder.db"
            fill(url, SOME_GROUPS * ENTRIES_EACH, SOME_GROUPS)
            long, *_ = ids_of(url)
            copy_groups(url, range(1, groups // SOME_GROUPS))
            lengthen(url, long, arguments.entries // ENTRIES_EACH)
            for row in _measured(url, long):
                table.add_row(f"{groups:,}", *row)
    Console().print(table)


def _measured(url: str, long: str) -> list[tuple[str, ...]]:
    engine = open_engine(check_url(url), read_only=True)
    client = create_app(engine).test_client()
    pages = {
        "all groups": "/",
        "all groups, by last change": "/?sort=changed",
        "all groups, text": "/?text=acme",
        "a long history": f"/groups/{long}",
        "completion": "/completion",
        "gaps": "/gaps",
        "events": "/events",
        "audit": "/audit",
    }
    rows = [(name, *_figures(client, path)) for name, path in pages.items()]
    engine.dispose()
    return rows


def _figures(client: FlaskClient, path: str) -> tuple[str, ...]:
    accept = {"Accept": "text/html"}
    first = client.get(path, headers=accept)
    if first.status_code != 200:
        raise SystemExit(f"{path}: {first.get_data(as_text=True)}")
    body, tag = first.get_data(), first.headers["ETag"]
    bare = _bare(body)
    page = _processor_seconds(lambda: client.get(path, headers=accept))
    floor = _processor_seconds(lambda: bare.get("/", headers=accept))
    unchanged = _processor_seconds(lambda: client.get(path, headers={**accept, "If-None-Match": tag}))
    size, packed = len(body) / 1000, len(gzip.compress(body, 5)) / 1000
    return (
        f"{1000 * page:.1f}",
        f"{page / floor:.0f}",
        f"{size:.0f}",
        f"{packed:.1f}",
        f"{1000 * unchanged:.1f}",
    )


def _bare(body: bytes) -> FlaskClient:
    app = Flask("bare")
    app.add_url_rule("/", view_func=lambda: Response(body, mimetype="text/html"))
    return app.test_client()


def _processor_seconds(request: Callable[[], object]) -> float:
    taken = []
    for _ in range(REQUESTS):
        begun = time.process_time()
        request()
        taken.append(time.process_time() - begun)
    return median(taken)


if __name__ == "__main__":
    main()
