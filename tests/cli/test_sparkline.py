"""The picture of a group's recent progress in `recorder status`."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from recorder.cli.output.sparkline import BLOCKS, UNSEEN, WIDTH, sparkline
from recorder.ledger.poll_outcome import Cause
from recorder.store.traces import TracePoint
from tests.support.databases import ON_SQLITE
from tests.support.program import Program
from tests.support.recording import NOON, Recording, active, after, settled


def test_it_shows_what_held_when() -> None:
    points = [TracePoint(after(0), 0, 8), TracePoint(after(20), None, None), TracePoint(after(30), 8, 8)]
    assert sparkline(points, after(40)) == BLOCKS[0] * 19 + UNSEEN * 10 + BLOCKS[-1] * 11


@pytest.mark.parametrize(
    ("points", "seconds"),
    [
        ([], 5),
        ([TracePoint(NOON, 3, 3)], 0),
        ([TracePoint(NOON, 0, 0)], 5),
        ([TracePoint(NOON, None, None)], 5),
    ],
)
def test_there_is_none_without_time_or_runs(points: list[TracePoint], seconds: float) -> None:
    assert sparkline(points, after(seconds)) == ""


@given(st.lists(st.tuples(st.integers(0, 9), st.none() | st.integers(0, 12), st.none() | st.integers(0, 9))))
def test_any_trace_can_be_shown(steps: list[tuple[int, int | None, int | None]]) -> None:
    at, points = NOON, []
    for seconds, finished, total in steps:
        at += timedelta(seconds=seconds)
        points.append(TracePoint(at, finished, total))
    line = sparkline(points, at)
    assert line == "" or (len(line) == WIDTH and set(line) <= {*BLOCKS, UNSEEN})
    if line and points[-1].finished is None:
        assert line[-1] == UNSEEN


def _record(engine: Engine) -> None:
    recording = Recording(engine)
    recording.watch("one")
    recording.see("one", 1, active(running=2, completed=0))
    for second in (90, 100, 110):
        recording.fail("one", second, Cause.SERVER_ERROR)
    for second in (200, 220, 240):
        recording.see("one", second, active(running=1, completed=1))
    recording.see("one", 260, settled(completed=2))


@ON_SQLITE
@pytest.mark.ledger(fill=_record)
def test_status_has_it(program: Program) -> None:
    (line,) = [line for line in program.ok("status", "one").splitlines() if "finished over time" in line]
    blocks = line.split()[3]
    assert blocks[0] == UNSEEN and blocks[-1] == BLOCKS[-1] and BLOCKS[3] in blocks
    assert line.rstrip().endswith(f"({UNSEEN} not observed)")
