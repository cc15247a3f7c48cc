"""Gaps of all groups, merged into outages."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Engine

from recorder.ledger.poll_outcome import Cause
from recorder.ledger.transitions import open_gap
from recorder.queries.outages import MOST_NAMED, SharedOutage, merge_gaps
from recorder.store.gap_rows import STILL_OPEN, GapColumns, read_all_gaps
from recorder.store.groups import find_watch
from recorder.store.transactions import reading
from tests.support.recording import Recording, active, after

CAUSES = ("timeout", "not_polled")
DRAWN = st.lists(
    st.tuples(
        st.integers(0, 50),
        st.integers(0, 9) | st.none(),
        st.sampled_from(CAUSES),
        st.sampled_from(["a", "b", "c", "d", "e", "f", "g"]),
    ),
    max_size=40,
)


@dataclass
class Merged:
    """What one outage should be, built up gap by gap; the end of one that is open is None."""

    cause: str
    start: float
    end: float | None
    gaps: int = 0
    groups: dict[str, None] = field(default_factory=dict)


def naive(drawn: list[tuple[int, int | None, str, str]], causes: tuple[str, ...]) -> list[Merged]:
    """Merge gaps one after the other, in the order of their start and their group."""
    found: list[Merged] = []
    latest: dict[str, Merged] = {}
    for start, length, cause, group in sorted(drawn, key=lambda gap: (gap[0], gap[3])):
        if cause not in causes:
            continue
        end = None if length is None else start + length
        outage = latest.get(cause)
        if outage is None or (outage.end is not None and start > outage.end):
            outage = latest[cause] = Merged(cause, start, end)
            found.append(outage)
        outage.gaps += 1
        outage.groups[group] = None
        outage.end = None if outage.end is None or end is None else max(outage.end, end)
    return found


def micros(seconds: float | None) -> int:
    return STILL_OPEN if seconds is None else round(after(seconds).timestamp() * 1_000_000)


def moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else after(seconds)


TOUCHING: list[tuple[int, int | None, str, str]] = [
    (0, 5, "timeout", "a"),
    (5, 2, "timeout", "b"),
    (8, None, "timeout", "a"),
    (9, 1, "timeout", "c"),
]


@given(DRAWN, st.sampled_from([CAUSES, CAUSES[:1]]))
@example(TOUCHING, CAUSES)
def test_outages_are_those_of_merging_one_by_one(
    drawn: list[tuple[int, int | None, str, str]], causes: tuple[str, ...]
) -> None:
    columns = GapColumns(
        [group for *_, group in drawn],
        [cause for _, _, cause, _ in drawn],
        np.array([micros(start) for start, *_ in drawn], dtype=np.int64),
        np.array(
            [micros(None if length is None else start + length) for start, length, *_ in drawn],
            dtype=np.int64,
        ),
    )
    expected = [
        SharedOutage(
            one.cause,
            after(one.start),
            moment(one.end),
            one.gaps,
            len(one.groups),
            tuple(one.groups)[:MOST_NAMED],
        )
        for one in naive(drawn, causes)
    ]

    def in_order(outages: list[SharedOutage]) -> list[SharedOutage]:
        return sorted(outages, key=lambda one: (one.from_, one.cause))

    found = merge_gaps(columns, causes)
    assert [one.from_ for one in found] == sorted(one.from_ for one in found)
    assert in_order(found) == in_order(expected)


def test_gaps_of_all_groups_are_those_of_each_group(engine: Engine) -> None:
    recording = Recording(engine)
    for number, name in enumerate(
        ("fails", "mostly fails", "two causes", "silent", "never", "fine", "noted")
    ):
        recording.watch(name, number / 10)
    for name in ("fails", "mostly fails", "two causes", "silent", "fine", "noted"):
        recording.see(name, 10, active(running=1))
    # After 31 s without a poll it fails, so that most of the gap was not polled.
    recording.fail("fails", 20)
    recording.fail("mostly fails", 51)
    for seconds, cause in (
        (20, Cause.TIMEOUT),
        (30, Cause.SERVER_ERROR),
        (40, Cause.TIMEOUT),
        (45, Cause.SERVER_ERROR),
    ):
        recording.fail("two causes", seconds, cause)
    recording.expect("noted", 12, runs=5)
    recording.see("fine", 55, active(running=1))
    recording.fail("fine", 66)
    recording.fail("never", 60)
    now = after(70)
    with reading(engine) as connection:
        found = read_all_gaps(connection, None, None, now)
        watches = {name: find_watch(connection, name) for name in set(found.taskgroup_ids)}
        early = read_all_gaps(connection, None, after(5), now)
        late = read_all_gaps(connection, after(56), None, after(60))
        later = read_all_gaps(connection, after(71), None, now)
    rows = set(
        zip(found.taskgroup_ids, found.causes, found.starts.tolist(), found.ends.tolist(), strict=True)
    )
    expected = {("fine", "not_polled", micros(10), micros(55))}
    for name, row in watches.items():
        assert row is not None
        gap = open_gap(row.watch, now)
        if gap is not None:
            expected.add((name, gap.cause.value, micros_of(gap.from_), STILL_OPEN))
    assert rows == expected
    assert {cause for _, cause, *_ in rows} >= {"server_error", "not_polled"}
    assert set(early.taskgroup_ids) == {"never"}
    assert "fine" not in late.taskgroup_ids and "silent" in late.taskgroup_ids
    assert not later.taskgroup_ids


def micros_of(time: datetime) -> int:
    return round(time.timestamp() * 1_000_000)
