"""Archive a year of groups by month, and bring all of it back.

    python -m benchmarks.year [--groups 1000] [--months 12] [--only NAME]

Records simulated groups by the recorder's own rules in a time of their own: on a SQLite file, on one that
gives space back (`auto_vacuum`), and on a private PostgreSQL server. Then it runs the commands of an
operator: a month at a time is archived and proven with the file and a checkpoint, then everything is
restored. It fails unless all statistics are the same throughout, and the export in the end is that of the
beginning, byte for byte. Prints sizes and times, those of commands with the start of their processes. The
size on PostgreSQL is that after VACUUM.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from recorder.store.engine import check_url, open_engine
from tests.support.archive_circle import ArchiveCircle, Archived, database_bytes, make_incremental
from tests.support.databases import upgrade_database
from tests.support.postgres import running_postgres
from tests.support.program import command_line

_NAMES = ("SQLite", "SQLite, auto_vacuum", "PostgreSQL")
_STEPS = ("record", "archive", "verify", "restore", "statistics")
_MIB = 2**20


@dataclass(slots=True)
class _Measured:
    """The seconds of each step, one a month, and the sizes of the database after each month."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    sizes: list[int] = field(default_factory=list)
    entries: int = 0
    archived_bytes: int = 0
    archived: list[Archived] = field(default_factory=list)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.seconds[step].append(time.perf_counter() - begun)


def main() -> None:
    arguments = _arguments()
    out = Console()
    measured = {}
    with tempfile.TemporaryDirectory() as folder:
        file = f"sqlite:///{folder}/recorder.db"
        for name in [name for name in _NAMES if arguments.only in {None, name}]:
            with running_postgres() if name == "PostgreSQL" else nullcontext(file) as url:
                measured[name] = _measure(out, name, url, arguments.groups, arguments.months)
            for left in Path(folder).iterdir():
                left.unlink()
    out.print(_table(measured, arguments.groups, arguments.months))


def _measure(out: Console, name: str, url: str, groups: int, months: int) -> _Measured:
    measured = _Measured()
    upgrade_database(url)
    engine = open_engine(check_url(url))
    if name.endswith("auto_vacuum"):
        make_incremental(engine)

    def note(month: Archived) -> None:
        measured.sizes.append(database_bytes(engine))
        seconds = {step: round(measured.seconds[step][-1], 1) for step in ("archive", "verify")}
        size = f"{month.groups:,} groups, {month.entries:,} entries, {month.file.stat().st_size:,} bytes"
        out.print(f"{name}: {month.file.name}: {size}, {seconds}, now {measured.sizes[-1] / _MIB:.1f} MiB")

    with tempfile.TemporaryDirectory() as folder:

        def run(*arguments: str) -> str:
            return subprocess.run(  # noqa: S603
                command_line(*arguments),
                env={**os.environ, "RECORDER_DATABASE_URL": url},
                cwd=folder,
                check=True,
                capture_output=True,
                text=True,
            ).stdout

        circle = ArchiveCircle(engine, Path(folder), run, months, measured.timed)
        measured.entries = circle.fill(groups)
        measured.sizes.append(database_bytes(engine))
        measured.archived = circle.go(note)
        measured.sizes.append(database_bytes(engine))
        measured.archived_bytes = sum(month.file.stat().st_size for month in measured.archived)
    engine.dispose()
    return measured


def _table(measured: dict[str, _Measured], groups: int, months: int) -> Table:
    table = Table(title=f"{months} months of {groups:,} groups")
    table.add_column("")
    for name in measured:
        table.add_column(name, justify="right")

    def row(title: str, *values: str) -> None:
        table.add_row(title, *values)

    of = list(measured.values())
    row("entries", *(f"{one.entries:,}" for one in of))
    row("of these archived", *(f"{sum(month.entries for month in one.archived):,}" for one in of))
    for title, place in (("MiB before", 0), ("MiB archived", -2), ("MiB restored", -1)):
        row(title, *(f"{one.sizes[place] / _MIB:.1f}" for one in of))
    row("MiB of archives", *(f"{one.archived_bytes / _MIB:.1f}" for one in of))
    for step in _STEPS:
        row(f"seconds: {step}", *(_spread(one.seconds[step]) for one in of))
    return table


def _spread(seconds: list[float]) -> str:
    """Return the sum, and how much one time took at most."""
    return f"{sum(seconds):.1f}" + (f" (longest {max(seconds):.1f})" if len(seconds) > 1 else "")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--groups", type=int, default=1000)
    parser.add_argument("--months", type=int, default=12)
    parser.add_argument("--only", choices=_NAMES)
    return parser.parse_args()


if __name__ == "__main__":
    main()
