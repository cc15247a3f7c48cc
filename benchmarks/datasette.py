"""Compare the speed of the API with that of Datasette.

    python benchmarks/datasette.py /path/to/datasette [--entries 100000 1000000] [--seconds 3]

Datasette (pip install datasette, in a separate environment) and `recorder serve` serve the same SQLite file.
Both are asked over HTTP, alternately, for the first 100 status entries of histories, oldest and newest first.
Datasette reads them from the view `status_history`, once with its defaults and once without counts, facets
and suggestions, on which it spends the most time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
from itertools import product
from pathlib import Path
from urllib.parse import urlencode

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.databases import ids_of, sizes_of
from benchmarks.floor import PAGE
from benchmarks.timing import medians, turns_of
from tests.support.postgres import free_port

START_SECONDS = 30
ORDERS = {"oldest": ("asc", "_sort"), "newest": ("desc", "_sort_desc")}
"""Which entries come first, with the corresponding parameters of the API and of Datasette."""
ASKED = {"default": {}, "least": {"_nocount": 1, "_nofacet": 1, "_nosuggest": 1}}
"""Parameters of Datasette: its defaults, and without its slowest extras, which the API serves separately."""


def main() -> None:
    arguments = _arguments()
    out = Console()
    table = Table(title=f"pages of {PAGE} status entries over HTTP, median times on SQLite")
    for heading in ("entries", "first", "asked", "Datasette ms", "API ms", "times as fast"):
        table.add_column(heading, justify="left" if heading in {"first", "asked"} else "right")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recorder.db"
        for entries in sizes_of(f"sqlite:///{path}", arguments.entries, out):
            for first, asked, ours, theirs, ratio in _measured(path, arguments.datasette, arguments.seconds):
                figures = (f"{1000 * theirs:.2f}", f"{1000 * ours:.2f}", f"{ratio:.1f}")
                table.add_row(f"{entries:,}", first, asked, *figures)
    out.print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare the speed of the API with that of Datasette.")
    parser.add_argument("datasette", help="path of the datasette program")
    parser.add_argument("--entries", type=int, nargs="+", default=[100_000, 1_000_000], help="ascending")
    parser.add_argument("--seconds", type=float, default=3, help="for each question")
    return parser.parse_args()


def _measured(path: Path, program: str, seconds: float) -> Iterator[tuple[str, str, float, float, float]]:
    """Yield the order, the parameters of Datasette, the median times of both in seconds, and their ratio."""
    recorder = Path(sys.executable).with_name("recorder")
    port, other = free_port(), free_port()
    settings = {"RECORDER_DATABASE_URL": f"sqlite:///{path}", "RECORDER_API_PORT": str(port)}
    names = ids_of(f"sqlite:///{path}")
    with (
        _running([recorder, "serve"], port, settings) as ours,
        _running([program, "serve", path, "--port", str(other)], other) as theirs,
    ):
        for first, asked in product(ORDERS, ASKED):
            order, sort = ORDERS[first]
            mine = [f"/api/v1/groups/{name}/history?kind=status&order={order}" for name in names]
            given = {sort: "seq", "_size": PAGE, "_shape": "objects", **ASKED[asked]}
            view = f"/{path.stem}/status_history.json?{urlencode(given)}&taskgroup_id__exact="
            others = [f"{view}{name}" for name in names]
            turns = turns_of(partial(_timed, ours), partial(_timed, theirs), mine, others, seconds)
            yield first, asked, *medians(turns)


@contextmanager
def _running(
    command: list[str | Path], port: int, settings: dict[str, str] | None = None
) -> Iterator[HTTPConnection]:
    """Run a server; yield a connection to it once it responds on `port`."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, env=settings, stdout=quiet, stderr=quiet)  # noqa: S603
    # A minimal client: others take longer to read a page than the server takes to produce it.
    connection = HTTPConnection("127.0.0.1", port)
    try:
        until = time.monotonic() + START_SECONDS
        while not _answers(connection):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{command[0]} does not serve")
            time.sleep(0.1)
        yield connection
    finally:
        connection.close()
        process.terminate()
        process.wait()


def _answers(connection: HTTPConnection) -> bool:
    try:
        _fetched(connection, "/")
    except ConnectionError:
        connection.close()
        return False
    return True


def _timed(connection: HTTPConnection, address: str) -> float:
    begun = time.perf_counter()
    body = _fetched(connection, address)
    taken = time.perf_counter() - begun
    page = json.loads(body)
    if len(page.get("items") or page.get("rows") or ()) != PAGE:
        raise SystemExit(f"{address}: {body!r}")
    return taken


def _fetched(connection: HTTPConnection, address: str) -> bytes:
    connection.request("GET", address)
    return connection.getresponse().read()


if __name__ == "__main__":
    main()
