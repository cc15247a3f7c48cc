"""What the API answers about completion, free of HTTP: the command line's `--json` prints the same.

Each function reads from one snapshot (`connection`) and returns a body that is ready for JSON.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from api.completion_queries import CompletionQuery, CurveQuery
from recorder.completion.dwell import until_last_seen
from recorder.completion.episodes import open_episode
from recorder.completion.labels import scalar_of
from recorder.completion.members import episode_members
from recorder.completion.statistics import curve_items, statistics_of
from recorder.ledger.times import format_time
from recorder.store.durations import Selection, durations_of
from recorder.store.episodes import completed_episodes
from recorder.store.readers import GroupItem
from recorder.store.summaries import summary_of


def completion_answer(connection: Connection, group: GroupItem, eta: dict[str, Any]) -> dict[str, Any]:
    """Return a group's episodes, where its time went, and its `eta`: when it will be done."""
    taskgroup_id = group.watch.taskgroup_id
    summary, opened = summary_of(connection, taskgroup_id), group.watch.open
    current = open_episode(summary.work, opened)
    episodes = [*completed_episodes(connection, taskgroup_id), *([current] if current else [])]
    dwell = until_last_seen(summary.dwell, opened)
    return {
        "episodes": [episode_members(episode) for episode in episodes],
        "run_seconds": dwell.run_seconds(),
        "dwell_seconds": dwell.phase_seconds(),
        "eta": eta,
    }


def statistics_answer(connection: Connection, query: CompletionQuery) -> dict[str, Any]:
    """Return how long the episodes of a selection lasted, by cohort.

    Raises:
        TooManyCohortsError: there are too many values to group by.
    """
    selected = durations_of(connection, replace(selection_of(query), group_by=query.group_by))
    items = [
        {"key": None if cohort.value is None else scalar_of(cohort.value), **statistics_of(cohort.durations)}
        for cohort in selected.cohorts
    ]
    return {"as_of": _time(selected.as_of), "items": items}


def curve_answer(connection: Connection, query: CurveQuery) -> dict[str, Any]:
    """Return the Kaplan-Meier curve of the episodes of a selection."""
    selected = durations_of(connection, selection_of(query))
    return {"as_of": _time(selected.as_of), "items": curve_items(selected.cohorts[0].durations)}


def selection_of(query: CurveQuery) -> Selection:
    """Return the selection that is asked for, all in one cohort."""
    return Selection(
        since_created=query.since is not None,
        prospective=query.enrolled is not None,
        from_=query.from_,
        until=query.to,
        labels=tuple(query.metadata.items()),
    )


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)
