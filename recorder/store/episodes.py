"""Reading a group's episodes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select

from recorder.completion.episodes import Episode, Outcome, Runs
from recorder.completion.moments import Basis, Moment
from recorder.store.tables import episodes


def completed_episodes(
    connection: Connection, taskgroup_id: str, *, after: int = 0, limit: int | None = None
) -> list[Episode]:
    """Return the episodes of a group that have ended, oldest first: those after number `after`, up to
    `limit` of them."""
    statement = select(episodes).where(
        episodes.c.taskgroup_id == taskgroup_id,
        episodes.c.completed_at.is_not(None),
        episodes.c.number > after,
    )
    return [
        _episode_of(row) for row in connection.execute(statement.order_by(episodes.c.number).limit(limit))
    ]


def _episode_of(row: Row[Any]) -> Episode:
    return Episode(
        number=row.number,
        started=Moment(row.started_at, row.started_earliest, row.started_latest, Basis(row.started_basis)),
        completed=Moment(
            row.completed_at, row.completed_earliest, row.completed_latest, Basis(row.completed_basis)
        ),
        outcome=Outcome(row.outcome),
        duration_seconds=row.duration_seconds,
        duration_earliest_seconds=row.duration_earliest_seconds,
        duration_latest_seconds=row.duration_latest_seconds,
        censored=False,
        first_sight=row.first_sight,
        runs=Runs(row.runs_total, row.runs_completed, row.runs_failed, row.runs_cancelled),
        gap_seconds=row.gap_seconds,
        polls=row.polls,
    )
