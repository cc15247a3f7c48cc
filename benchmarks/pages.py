"""Measure what the dashboard's pages cost the server, how large they are, and how soon a browser paints them.

    python benchmarks/pages.py [--groups 100 100000] [--entries 100000] [--browser]

Requests each page from SQLite databases with so many groups of a few entries each, most of them done, and one
group with a history of so many entries. The table has processor time of the server, the median of several
requests: after something was written to the database, after nothing was, and for a client that has the page
already (304). Then follow the size plain and compressed.

With `--browser`, Chromium opens each page several times from a server on this machine, after something was
written, with nothing in its cache, and in turns with a bare static page of the same size. `first paint` is
the median time from navigation to the first contentful paint, and `drawn` that to the second frame after the
whole page, with its chart, was there. Their ratios are to the first paint of the bare page.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from flask import Flask, Response
from flask.testing import FlaskClient
from playwright.sync_api import Browser
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, text

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from api.app import create_app
from benchmarks.databases import copy_groups, fill, ids_of, lengthen
from recorder.store.engine import check_url, open_engine
from recorder.store.tables import (
    episodes,
    group_labels,
    labelled_durations,
    milestones,
    summaries,
)
from tests.support.chromium import chromium, served

REQUESTS = 5
SOME_GROUPS, ENTRIES_EACH = 100, 6
DERIVED = (summaries, episodes, milestones, group_labels, labelled_durations)
ACCEPT = {"Accept": "text/html"}
END_MOST = """UPDATE episodes SET completed_at = coalesce(seen_at, started_at),
    completed_earliest = started_latest, completed_latest = coalesce(seen_at, started_latest),
    completed_basis = 'midpoint', outcome = 'completed', duration_seconds = 5 + abs(random()) % 3600,
    duration_earliest_seconds = 4, duration_latest_seconds = 3700
    WHERE completed_at IS NULL AND taskgroup_id LIKE '%.copy-%' AND taskgroup_id NOT LIKE '%0'"""
"""Groups of a few entries are mostly at work still; with so many open episodes no estimate would be usual."""
TOUCH = "UPDATE watches SET interval_seconds = coalesce(interval_seconds, 0) + 0.001 WHERE taskgroup_id = :id"
WATCH_DRAWING = """document.addEventListener("DOMContentLoaded", () => requestAnimationFrame(() =>
    requestAnimationFrame(() => { window.drawnAt = performance.now(); })));"""
PAINTED = """() => window.drawnAt && performance.getEntriesByName("first-contentful-paint").length
    ? [performance.getEntriesByName("first-contentful-paint")[0].startTime, window.drawnAt] : null"""


@dataclass(frozen=True)
class Site:
    """A filled database, and what asks for its pages and writes to it."""

    reader: Engine
    writer: Engine
    app: Flask
    long: str

    def touch(self) -> None:
        """Write something, as a recorder does all the time."""
        with self.writer.begin() as connection:
            connection.execute(text(TOUCH), {"id": self.long})


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what the dashboard's pages cost.")
    parser.add_argument("--groups", type=int, nargs="+", default=[100, 100_000], help="multiples of 100")
    parser.add_argument("--entries", type=int, default=100_000, help="of the longest history")
    parser.add_argument("--browser", action="store_true", help="measure in Chromium, too")
    arguments = parser.parse_args()
    table = Table(title="pages: processor time of the server and sizes, then times to paint")
    headings = ["groups", "page", "changed ms", "same ms", "304 ms", "kB", "compressed"]
    headings += ["first paint ms", "ratio", "drawn ms", "ratio"] if arguments.browser else []
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "page" else "right")
    with ExitStack() as stack:
        browser = stack.enter_context(chromium()) if arguments.browser else None
        for groups in arguments.groups:
            with _site(groups, arguments.entries) as site:
                for row in _measured(site, browser):
                    table.add_row(f"{groups:,}", *row)
    Console(width=140).print(table)


@contextmanager
def _site(groups: int, length: int) -> Iterator[Site]:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/recorder.db"
        fill(url, SOME_GROUPS * ENTRIES_EACH, SOME_GROUPS)
        long, *_ = ids_of(url)
        copy_groups(url, range(1, groups // SOME_GROUPS), DERIVED)
        lengthen(url, long, length // ENTRIES_EACH)
        writer = open_engine(check_url(url))
        with writer.begin() as connection:
            connection.execute(text(END_MOST))
        reader = open_engine(check_url(url), read_only=True)
        yield Site(reader, writer, create_app(reader), long)
        reader.dispose()
        writer.dispose()


def _measured(site: Site, browser: Browser | None) -> Iterator[tuple[str, ...]]:
    pages = {
        "all groups": "",
        "all groups, by last change": "?sort=changed",
        "all groups, text": "?text=acme",
        "a long history": f"groups/{site.long}",
        "completion": "completion",
        "gaps": "gaps",
        "events": "events",
        "audit": "audit",
    }
    client = site.app.test_client()
    for name, path in pages.items():
        figures = _figures(site, client, f"/{path}")
        yield name, *figures, *(_paints(site, browser, path) if browser is not None else ())


def _figures(site: Site, client: FlaskClient, path: str) -> Iterator[str]:
    first = client.get(path, headers=ACCEPT)
    if first.status_code != 200:
        raise SystemExit(f"{path}: {first.get_data(as_text=True)}")

    def ask(**headers: str) -> Response:
        return client.get(path, headers={**ACCEPT, **headers})

    changed = _processor_seconds(ask, before=site.touch)
    same = _processor_seconds(ask)
    tag = ask().headers["ETag"]
    unchanged = _processor_seconds(lambda: ask(**{"If-None-Match": tag}))
    body = first.get_data()
    yield from (f"{1000 * seconds:.1f}" for seconds in (changed, same, unchanged))
    yield from (f"{len(body) / 1000:.0f}", f"{len(gzip.compress(body, 5)) / 1000:.1f}")


def _processor_seconds(request: Callable[[], object], before: Callable[[], None] = lambda: None) -> float:
    taken = []
    for _ in range(REQUESTS):
        before()
        begun = time.process_time()
        request()
        taken.append(time.process_time() - begun)
    return median(taken)


def _paints(site: Site, browser: Browser, path: str) -> Iterator[str]:
    """Return the median times to the first paint and to the whole page in milliseconds, with ratios."""
    body = site.app.test_client().get(f"/{path}", headers=ACCEPT).get_data()
    bare = Flask("bare", static_folder=None)
    filler = b"<!doctype html><title>bare</title><p>" + b"word " * (len(body) // 5)
    bare.add_url_rule("/", view_func=lambda: Response(filler, mimetype="text/html"))
    firsts, drawings, floors = [], [], []
    with served(site.app) as address, served(bare) as floor:
        for _ in range(REQUESTS):
            site.touch()
            first, drawn = _opened(browser, address + path)
            firsts.append(first)
            drawings.append(drawn)
            floors.append(_opened(browser, floor)[0])
    for taken in (firsts, drawings):
        yield from (f"{median(taken):.0f}", f"{median(taken) / median(floors):.1f}")


def _opened(browser: Browser, address: str) -> tuple[float, float]:
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    page = context.new_page()
    page.add_init_script(WATCH_DRAWING)
    page.goto(address)
    first, drawn = page.wait_for_function(PAINTED).json_value()
    context.close()
    return first, drawn


if __name__ == "__main__":
    main()
