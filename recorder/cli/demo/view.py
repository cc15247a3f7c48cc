"""The demo's display: a live table in a terminal, otherwise a line every two seconds."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from recorder.cli.common import opened_database
from recorder.cli.demo.stage import Stage
from recorder.cli.output.format import phase_text
from recorder.clock import utc_now
from recorder.ledger.status_fields import FINISHED_STATUSES, Phase
from recorder.ledger.transitions import open_gap
from recorder.store.groups import GroupItem, count_entries, list_groups
from recorder.store.heartbeats import heartbeats
from recorder.store.history import StatusItem, count_gaps
from recorder.store.transactions import reading

_REFRESH_SECONDS = 0.5
_LINE_SECONDS = 2.0
_MOST_GROUPS = 200
_FRAME_LINES = 7
_ORDER = {Phase.ACTIVE: 0, Phase.UNCLEAR: 1, Phase.BLOCKED: 2, Phase.SETTLED: 3, Phase.EMPTY: 4}


@dataclass(frozen=True, slots=True)
class Picture:
    """The state of the demo at one moment; `counters` are summed over all recorders."""

    at: datetime
    groups: list[GroupItem]
    gaps: dict[str, int]
    entries: int
    counters: Counter[str]


@contextmanager
def view_of(console: Console, stage: Stage) -> Iterator[Callable[[], None]]:
    """Yield a function to call often, which refreshes the display when it is time to."""
    with opened_database(stage.database_url, read_only=True) as engine:
        if not console.is_terminal:
            yield _every(_LINE_SECONDS, _Lines(console, engine).show)
            return
        with Live(console=console, auto_refresh=False, transient=True) as live:
            yield _every(_REFRESH_SECONDS, _Board(live, engine, stage.api_url).show)


def _every(seconds: float, show: Callable[[], None]) -> Callable[[], None]:
    last = -seconds

    def refresh() -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            show()

    return refresh


def _look(engine: Engine) -> Picture:
    with reading(engine) as connection:
        return Picture(
            utc_now(),
            list_groups(connection, limit=_MOST_GROUPS),
            count_gaps(connection),
            count_entries(connection),
            sum((Counter(recorder.counters) for recorder in heartbeats(connection)), Counter()),
        )


class _Lines:
    def __init__(self, console: Console, engine: Engine) -> None:
        self._console = console
        self._engine = engine

    def show(self) -> None:
        picture = _look(self._engine)
        phases = Counter(
            force.phase.value if (force := group.watch.in_force) else "not seen yet"
            for group in picture.groups
        )
        words = ", ".join(f"{count} {phase}" for phase, count in sorted(phases.items()))
        gaps = sum(picture.gaps.values())
        line = f"{picture.at:%H:%M:%S}  {words}; {gaps} gaps; {_counts(picture)}  {_open_gaps(picture)}"
        self._console.print(line, soft_wrap=True)


class _Board:
    def __init__(self, live: Live, engine: Engine, api_url: str) -> None:
        self._live = live
        self._api_url = api_url
        self._engine = engine
        self._before: Picture | None = None
        self._rate = 0.0

    def show(self) -> None:
        picture = _look(self._engine)
        room = max(3, self._live.console.height - _FRAME_LINES)
        self._live.update(Group(_table(picture, room), *self._footer(picture)), refresh=True)

    def _footer(self, picture: Picture) -> Iterator[Text]:
        # Counters are updated by heartbeats, every few seconds; the rate is the one between two of these.
        before = self._before
        if before is None or picture.counters["polls"] != before.counters["polls"]:
            if before is not None:
                seconds = (picture.at - before.at).total_seconds()
                self._rate = (picture.counters["polls"] - before.counters["polls"]) / max(seconds, 0.1)
            self._before = picture
        yield Text(f"{self._rate:.1f} polls/s, {_counts(picture)}    Ctrl-C ends", "dim", no_wrap=True)
        hint = Text(f"dashboard: {self._api_url}/", "dim", no_wrap=True)
        yield Text(unseen, "red", no_wrap=True) if (unseen := _open_gaps(picture)) else hint


def _counts(picture: Picture) -> str:
    counters = picture.counters
    return f"{counters['polls']} polls, {counters['failures']} failures, {picture.entries} entries"


def _open_gaps(picture: Picture) -> str:
    """Return a note on the groups with an open gap, empty if there are none."""
    gaps = (open_gap(group.watch, picture.at) for group in picture.groups)
    causes = Counter(gap.cause.value for gap in gaps if gap is not None)
    return "".join(f"{count} groups not seen now: {cause}" for cause, count in causes.most_common(1))


def _table(picture: Picture, room: int) -> Table:
    groups = sorted(picture.groups, key=_interest)
    table = Table(
        expand=True, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="bold", caption_justify="left"
    )
    table.add_column("group", no_wrap=True, min_width=9, max_width=21, ratio=1)
    table.add_column("what", no_wrap=True, min_width=8, ratio=2)
    table.add_column("phase", no_wrap=True, width=8)
    table.add_column("done", min_width=6, ratio=1)
    table.add_column("runs", justify="right", no_wrap=True, width=8)
    table.add_column("ok/fail/canc", justify="right", no_wrap=True, width=12)
    table.add_column("seen", justify="right", no_wrap=True, width=6)
    table.add_column("gaps", justify="right", no_wrap=True, width=4)
    for group in groups[:room]:
        table.add_row(*_row(group, picture))
    if len(groups) > room:
        table.caption = f"and {len(groups) - room} more"
    return table


def _interest(group: GroupItem) -> tuple[int, str]:
    force = group.watch.in_force
    return (_ORDER[force.phase] if force else 0, group.watch.taskgroup_id)


def _row(group: GroupItem, picture: Picture) -> list[RenderableType]:
    watch = group.watch
    gaps = str(picture.gaps.get(watch.taskgroup_id, 0) or "")
    if open_gap(watch, picture.at):
        gaps = "open"
    name = Text(watch.taskgroup_id.removeprefix("tgrp_"))
    if group.latest is None or not isinstance(group.latest.content, StatusItem):
        return [name, "", phase_text(None), "", "", "", "", Text(gaps, style="red")]
    status = group.latest.content
    fields = status.fields
    finished = [fields.count(name) or 0 for name in FINISHED_STATUSES]
    total = fields.num_task_runs or 0
    metadata = status.value.get("metadata") or {}
    what = " ".join(str(metadata[key]) for key in ("customer", "processor", "kind") if key in metadata)
    ago = max(0.0, (picture.at - status.interval.last_seen_at).total_seconds())
    return [
        name,
        Text(what),
        phase_text(fields.phase),
        ProgressBar(total=max(total, 1), completed=sum(finished)),
        f"{sum(finished)}/{total}",
        "/".join(map(str, finished)),
        f"{ago:.1f} s",
        Text(gaps, style="red"),
    ]
