"""A strategy for observations of an episode's runs, and the progress marks they leave."""

from __future__ import annotations

from hypothesis import strategies as st

from recorder.completion.progress import ProgressMarks
from tests.support.ledgers import time

_COUNTS = st.none() | st.integers(-3, 300) | st.integers(-(2**63), 2**63 - 1)
OBSERVATIONS = st.lists(st.tuples(st.floats(0, 1e6), _COUNTS, _COUNTS), max_size=150)
"""(seconds, finished, total), in any order and possibly contradictory."""


def pace_of(observations: list[tuple[float, int | None, int | None]]) -> ProgressMarks:
    pace = ProgressMarks()
    for seconds, finished, total in observations:
        pace = pace.seen(time(seconds), finished, total)
    return pace
