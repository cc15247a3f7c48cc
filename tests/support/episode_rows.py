"""Derived rows of many groups at once, for tests in which recording each group would take too long."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Engine, insert

from recorder.completion.labels import label_text
from recorder.store.tables import episodes, group_labels, labelled_durations
from recorder.store.transactions import writing
from tests.support.recording import after

KEY = "customer"


def add_completed(
    engine: Engine, prefix: str, value: str | None, spans: Sequence[tuple[float, float]]
) -> None:
    """Add a group for each (start in seconds after noon, duration in seconds), with one completed episode.

    `value` is the value of the label KEY, or None for groups without that label.
    """
    rows, labels, durations = [], [], []
    for number, (start, seconds) in enumerate(spans):
        group, started = {"taskgroup_id": f"{prefix}{number}"}, after(start)
        completed = started + timedelta(seconds=seconds)
        spread = dict.fromkeys(
            ("duration_seconds", "duration_earliest_seconds", "duration_latest_seconds"), seconds
        )
        shared = {**group, "number": 1, "started_at": started, "first_sight": False, **spread}
        shared["completed_latest"] = completed
        rows.append(
            {
                **shared,
                **{"started_earliest": started, "started_latest": started, "started_basis": "midpoint"},
                **{"completed_at": completed, "completed_earliest": completed, "completed_basis": "midpoint"},
                **{
                    "outcome": "completed",
                    "runs_total": 1,
                    "runs_completed": 1,
                    "gap_seconds": 0.0,
                    "polls": 2,
                },
            }
        )
        if value is not None:
            label = {"key": label_text(KEY), "value": label_text(value)}
            labels.append({**group, **label})
            durations.append({**shared, **label})
    with writing(engine) as connection:
        for table, found in ((episodes, rows), (group_labels, labels), (labelled_durations, durations)):
            if found:
                connection.execute(insert(table), found)
