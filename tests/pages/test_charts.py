"""Scales, sampling and drawing: nothing that matters vanishes, whatever the numbers are."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.pages.charts.sampling import covered, merged, sampled
from api.pages.charts.scale import number_ticks, round_top, span_words, time_ticks
from api.pages.charts.small import draw_progress, draw_spark
from api.pages.charts.status_area import STACKED, draw_status_area
from recorder.queries.group_chart import SERIES, GroupChart, TimeSpan

NOON = 1_795_608_000_000.0
HOUR = 3_600_000.0
SPANS = st.lists(
    st.tuples(st.floats(0, 1), st.floats(0, 0.3)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=30
)


@given(st.integers(0, 2**32 - 1), st.integers(10, 4000), st.integers(5, 60))
def test_sampling_keeps_extremes_and_ends(seed: int, count: int, columns: int) -> None:
    random = np.random.default_rng(seed)
    times = np.sort(random.random(count)) * 1000
    values = random.integers(0, 50, (3, count)).astype(float)
    spike = random.integers(count)
    values[1, spike] = 1_000
    kept = sampled(times, values, 0, 1000, columns)
    assert list(kept) == sorted(set(kept.tolist()))
    assert {0, count - 1, spike} <= set(kept.tolist())
    column = (times / 1000 * columns).astype(int).clip(max=columns - 1)
    for number in set(column.tolist()):
        there = np.flatnonzero(column == number)
        mine = kept[np.isin(kept, there)]
        for row in values:
            assert (row[mine].min(), row[mine].max()) == (row[there].min(), row[there].max())
    if count <= 2 * columns:
        assert len(kept) == count
    assert len(kept) <= max(2 * columns, columns * 8)


@given(SPANS)
def test_no_stretch_vanishes_by_merging(spans: list[tuple[float, float]]) -> None:
    found = merged(spans, 0, 1, columns=50)
    for start, end in spans:
        assert any(a <= start and min(end, 1) <= b for a, b in found)
    for (_, end), (start, _) in pairwise(found):
        assert start - end > 1 / 50
    assert 0 <= covered(found, 0, 1) <= 1 + 1e-9


def _chart(times: np.ndarray, running: np.ndarray, gaps: list[TimeSpan], lo: float, hi: float) -> GroupChart:
    counts = np.zeros((len(SERIES), len(times)))
    counts[SERIES.index("running")] = running
    return GroupChart(
        lo, hi, times, counts, np.ones(len(times), bool), gaps, [], np.empty((0, 2)), len(times), cut=False
    )


@given(
    st.lists(st.tuples(st.floats(0, 99), st.floats(1e-6, 0.5)), min_size=1, max_size=40),
    st.integers(0, 99_999),
)
def test_no_gap_and_no_spike_vanishes_from_a_long_history(
    gaps: list[tuple[float, float]], spike: int
) -> None:
    times = NOON + np.linspace(0, 100 * HOUR, 100_000)
    running = np.full(100_000, 10.0)
    running[spike] = 5_000
    spans = [TimeSpan(NOON + at * HOUR, NOON + (at + long) * HOUR, "timeout") for at, long in gaps]
    lo, hi = NOON, NOON + 100 * HOUR
    drawn = draw_status_area(_chart(times, running, spans, lo, hi), [], "c", "Runs")
    assert drawn.is_sampled and len(drawn.points) < 10_000
    place = 1 + STACKED.index("running")
    assert [point[0] for point in drawn.points if point[place] == 5_000] == [times[spike]]
    rects = re.findall(r'<rect class="gap" x="([\d.]+)%" width="([\d.]+)%"', drawn.svg)
    shapes = [(float(x) / 100, (float(x) + float(width)) / 100) for x, width in rects]
    for at, long in gaps:
        assert any(a - 1e-5 <= at / 100 and min((at + long) / 100, 1) <= b + 1e-5 for a, b in shapes)
    assert all(b - a >= 0.0019 for a, b in shapes)


@pytest.mark.parametrize("seconds", [0.01, 0.5, 3, 59, 600, 7_200, 86_400, 9e6, 3e8])
def test_time_ticks_suit_short_and_long_charts(seconds: float) -> None:
    ticks = time_ticks(NOON, NOON + seconds * 1000)
    assert 2 <= len(ticks) <= 10
    assert all(0 <= tick.share <= 1 for tick in ticks)
    labels = [tick.label for tick in ticks]
    assert len(set(labels)) == len(labels)


@given(st.floats(0, 1e12))
@example(12.0)
def test_number_ticks(value: float) -> None:
    top = round_top(value)
    ticks = number_ticks(top)
    assert top >= value and len(ticks) <= 7
    assert (ticks[0].share, ticks[0].label) == (0, "0")
    assert ticks[-1].share == pytest.approx(1) or top < 5
    if top < 20:
        # There is no half run.
        assert all((tick.share * top) % 1 == pytest.approx(0) for tick in ticks)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (0.25, "0.25 s"), (42.04, "42 s"), (59.96, "1 min"), (61, "1 min 1 s"), (7260, "2 h 1 min"),
     (172_800, "2 d"), (-3.5, "−3.5 s")],
)  # fmt: skip
def test_span_words(seconds: float, words: str) -> None:
    assert span_words(seconds) == words


def test_a_bar_of_more_runs_than_there_should_be() -> None:
    widths = re.findall(r'width="([\d.]+)%"', draw_progress({"completed": 30, "failed": 10}, total=10))
    assert sum(map(float, widths[2:])) == pytest.approx(100)


def test_a_bar_says_what_it_shows() -> None:
    assert 'role="img" aria-label="1,200 completed, 3 action required of 1,300"' in draw_progress(
        {"completed": 1200, "action_required": 3}, total=1300
    )
    assert 'aria-label="no counts of 20"' in draw_progress({}, total=20)
    assert 'aria-label="3 running"' in draw_progress({"running": 3}, total=None)


def test_a_sparkline_says_what_it_shows() -> None:
    moments = [datetime(2026, 11, 24, 12, 0, second, tzinfo=UTC) for second in (0, 10, 20, 30)]
    whole = list(zip(moments, [None, 1000, 1002, 1002], [None, 1500, 1500, 1500], strict=True))
    assert (
        'role="img" aria-label="1,000 to 1,002 of 1,500 runs finished from 2026-11-24 12:00:10 '
        'to 2026-11-24 12:00:30"'
    ) in draw_spark(whole)
    broken = list(zip(moments, [0, None, 3, 3], [None] * 4, strict=True))
    assert '2026-11-24 12:00:30, not seen all the time"' in draw_spark(broken)
    assert 'aria-label="0 to 3 runs finished from' in draw_spark(broken)
    assert draw_spark(whole[:1]) == ""
