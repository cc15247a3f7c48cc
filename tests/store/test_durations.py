"""The newest episodes of a cohort, which estimates are based on."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from recorder.completion.labels import label_text
from recorder.store import durations
from recorder.store.durations import recent_durations
from recorder.store.transactions import reading
from tests.support.episode_rows import KEY, add_completed
from tests.support.recording import Recording, active

MOST = 3


def _recent(engine: Engine, value: str | None) -> tuple[list[float], list[float]]:
    """Return the durations of the completed and of the open episodes."""
    label = None if value is None else (label_text(KEY), label_text(value))
    with reading(engine) as connection:
        seconds, completed = recent_durations(connection, label)
    return sorted(seconds[completed]), sorted(seconds[~completed])


@pytest.mark.parametrize("many", [1, 50_000], ids=["by time", "by label"])
def test_a_cohort_has_its_own_newest_episodes(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(durations, "MOST_RECENT", MOST)
    monkeypatch.setattr(durations, "_MANY_GROUPS", many)
    add_completed(engine, "rare", "rare", [(0, 10), (1, 11)])
    add_completed(engine, "common", "common", [(100 + number, 20 + number) for number in range(6)])
    add_completed(engine, "none", None, [(200, 30)])
    recording, status = Recording(engine), {**active(running=1), "modified_at": None}
    for group, value, seconds in (("old", "common", 50), ("new", "common", 150), ("rare", "rare", 60)):
        recording.watch(group, at=seconds)
        recording.see(group, seconds, status, metadata={KEY: value})
        recording.see(group, seconds + 8, status, metadata={KEY: value})
    assert _recent(engine, "rare") == ([10, 11], [8])
    assert _recent(engine, "common") == ([23, 24, 25], [8])
    assert _recent(engine, None) == ([24, 25, 30], [8])
    assert _recent(engine, "nobody") == ([], [])
