"""The demo's display: a live table in a terminal, otherwise a line every two seconds."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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
from recorder.cli.demo.paging import PAGE_SECONDS, Pager, pressed_keys
from recorder.cli.demo.stage import OUTAGE_END_SECONDS, OUTAGE_START_SECONDS, OUTAGE_STATUS, Stage
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
_WIDE = 100
"""From this width on there is room for progress bars."""
_FRAME_LINES = 9
"""Lines of the board besides the groups: two above the table, two of its head, four below, one to spare."""
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
        if not console.is_terminal or console.is_dumb_terminal:
            yield _every(_LINE_SECONDS, _Lines(console, engine).show)
            return
        with (
            pressed_keys() as keys,
            Live(console=console, auto_refresh=False, transient=True) as live,
        ):
            yield _every(_REFRESH_SECONDS, _Board(live, engine, stage, keys).show)


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
        gaps = sum(picture.gaps.values())
        groups = f"{_phases(picture)}; {gaps} gaps; {_counts(picture)}"
        self._console.print(f"{picture.at:%H:%M:%S}  {groups}  {_unseen(picture)}", soft_wrap=True)


class _Board:
    """The live table, with totals and the staged outage above it, and how to read it below."""

    def __init__(self, live: Live, engine: Engine, stage: Stage, keys: Callable[[], str]) -> None:
        self._live = live
        self._stage = stage
        self._engine = engine
        self._keys = keys
        self._pager = Pager(time.monotonic())
        self._before: Picture | None = None
        self._rate = 0.0

    def show(self) -> None:
        picture, now = _look(self._engine), time.monotonic()
        self._pager.press(self._keys())
        room = max(3, self._live.console.height - _FRAME_LINES)
        pages = max(1, -(-len(picture.groups) // room))
        page = self._pager.page(pages, now)
        groups = sorted(picture.groups, key=_interest)[page * room : (page + 1) * room]
        table = _table(groups, picture, bars=self._live.console.width >= _WIDE)
        lines = *_header(picture, now - self._stage.started), table, *self._footer(picture)
        shown = [*lines, self._place(page, pages)] if pages > 1 else lines
        self._live.update(Group(*shown), refresh=True)

    def _footer(self, picture: Picture) -> Iterator[Text]:
        # Counters are updated by heartbeats, every few seconds; the rate is the one between two of these.
        before = self._before
        if before is None or picture.counters["polls"] != before.counters["polls"]:
            if before is not None:
                seconds = (picture.at - before.at).total_seconds()
                self._rate = (picture.counters["polls"] - before.counters["polls"]) / max(seconds, 0.1)
            self._before = picture
        yield _line("seen: how long ago the last response was. gaps: how often responses were missing")
        yield _line(f"{self._rate:.1f} polls/s, {_counts(picture)}. Ctrl-C ends")
        yield _line(f"dashboard: {self._stage.api_url}/")

    def _place(self, page: int, pages: int) -> Text:
        turning = "" if self._pager.by_hand else f" (turns every {PAGE_SECONDS:.0f} s)"
        return _line(f"page {page + 1} of {pages}{turning}; space or n: next, b or p: back")


def _line(text: str, style: str = "dim") -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _header(picture: Picture, seconds: float) -> Iterator[Text]:
    """Yield the totals, and the outage that is staged, `seconds` after the start of the simulator."""
    runs = list(map(_runs, picture.groups))
    finished, total = sum(done for done, _ in runs), sum(of_all for _, of_all in runs)
    gaps = sum(picture.gaps.values())
    groups = f"{len(picture.groups)} groups: {_phases(picture)}"
    yield _line(f"{groups}; {finished}/{total} runs; {gaps} gaps", "bold")
    unseen = _unseen(picture)
    yield _line(" ".join(filter(None, (_outage(seconds), unseen))), "red" if unseen else "")


def _outage(seconds: float) -> str:
    """Describe the staged outage `seconds` after the simulator's start."""
    what = f"Staged outage: the provider answers {OUTAGE_STATUS}"
    if seconds < OUTAGE_START_SECONDS:
        length = OUTAGE_END_SECONDS - OUTAGE_START_SECONDS
        return f"{what} for {length} s, in {OUTAGE_START_SECONDS - seconds:.0f} s."
    if seconds < OUTAGE_END_SECONDS:
        return f"{what}, {OUTAGE_END_SECONDS - seconds:.0f} s left."
    return f"Staged outage: over for {seconds - OUTAGE_END_SECONDS:.0f} s."


def _phases(picture: Picture) -> str:
    """Return the number of groups in each phase."""
    phases = Counter(
        force.phase.value if (force := group.watch.in_force) else "not seen yet" for group in picture.groups
    )
    return ", ".join(f"{count} {phase}" for phase, count in sorted(phases.items()))


def _counts(picture: Picture) -> str:
    counters = picture.counters
    return f"{counters['polls']} polls, {counters['failures']} failures, {picture.entries} entries"


def _unseen(picture: Picture) -> str:
    """Return a note on the groups with an open gap, empty if there are none."""
    gaps = (open_gap(group.watch, picture.at) for group in picture.groups)
    causes = Counter(gap.cause.value for gap in gaps if gap is not None)
    return "".join(f"Not seen now: {count} groups ({cause})" for cause, count in causes.most_common(1))


def _table(groups: Sequence[GroupItem], picture: Picture, *, bars: bool) -> Table:
    table = Table(
        expand=True, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="bold", show_edge=False
    )
    table.add_column("group", no_wrap=True, min_width=9, max_width=21, ratio=1)
    table.add_column("what", no_wrap=True, min_width=8, ratio=2)
    table.add_column("phase", no_wrap=True, width=8)
    if bars:
        table.add_column("done", min_width=6, ratio=1)
    table.add_column("runs", justify="right", no_wrap=True, width=8)
    table.add_column("ok/fail/canc", justify="right", no_wrap=True, width=12)
    table.add_column("seen", justify="right", no_wrap=True, width=6)
    table.add_column("gaps", justify="right", no_wrap=True, width=4)
    for group in groups:
        table.add_row(*_row(group, picture, bars=bars))
    return table


def _runs(group: GroupItem) -> tuple[int, int]:
    """Return how many runs of a group have finished, and how many it has."""
    if group.latest is None or not isinstance(group.latest.content, StatusItem):
        return 0, 0
    fields = group.latest.content.fields
    return sum(fields.count(name) or 0 for name in FINISHED_STATUSES), fields.num_task_runs or 0


def _interest(group: GroupItem) -> tuple[int, str]:
    force = group.watch.in_force
    return (_ORDER[force.phase] if force else 0, group.watch.taskgroup_id)


def _row(group: GroupItem, picture: Picture, *, bars: bool) -> list[RenderableType]:
    watch = group.watch
    gaps = str(picture.gaps.get(watch.taskgroup_id, 0) or "")
    if open_gap(watch, picture.at):
        gaps = "open"
    name = Text(watch.taskgroup_id.removeprefix("tgrp_"))
    if group.latest is None or not isinstance(group.latest.content, StatusItem):
        return [name, "", phase_text(None), *[""] * (4 if bars else 3), Text(gaps, style="red")]
    status = group.latest.content
    fields = status.fields
    finished = [fields.count(name) or 0 for name in FINISHED_STATUSES]
    total = fields.num_task_runs or 0
    metadata = status.value.get("metadata") or {}
    keys = ("kind" if "kind" in metadata else "customer", "processor")
    what = ", ".join(str(metadata[key]) for key in keys if key in metadata)
    ago = max(0.0, (picture.at - status.interval.last_seen_at).total_seconds())
    return [
        name,
        Text(what),
        phase_text(fields.phase),
        *([ProgressBar(total=max(total, 1), completed=sum(finished))] if bars else []),
        f"{sum(finished)}/{total}",
        "/".join(map(str, finished)),
        f"{ago:.1f} s",
        Text(gaps, style="red"),
    ]
