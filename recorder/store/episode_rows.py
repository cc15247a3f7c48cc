"""The rows of episodes and their milestones, and the episodes that they describe."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from recorder.completion.episodes import Episode, Outcome, RunCounts, State, open_episode, open_gap_seconds
from recorder.completion.milestones import Milestone
from recorder.completion.time_bounds import Basis, Elapsed, Moment
from recorder.store.given_keys import rows_with
from recorder.store.tables import episodes, milestones


def open_episode_rows(taskgroup_id: str, work: State) -> Iterator[dict[str, Any]]:
    """Yield the row of `episodes` for the open episode of a group, if there is one."""
    current = open_episode(work, None, brief=True)
    if current is not None and work.sight is not None:
        yield {
            **episode_row(taskgroup_id, current),
            "duration_seconds": None,
            "duration_earliest_seconds": None,
            "seen_seq": work.sight.seq,
            "seen_at": work.sight.last_seen_at,
            "gap_seconds": open_gap_seconds(work),
        }


def episode_row(taskgroup_id: str, episode: Episode) -> dict[str, Any]:
    """Return the row of `episodes` for an episode."""
    started, completed = episode.started, episode.completed
    return {
        "taskgroup_id": taskgroup_id,
        "number": episode.number,
        "started_at": started.at,
        "started_earliest": started.earliest,
        "started_latest": started.latest,
        "started_basis": started.basis.value,
        "completed_at": completed and completed.at,
        "completed_earliest": completed and completed.earliest,
        "completed_latest": completed and completed.latest,
        "completed_basis": completed and completed.basis.value,
        "duration_seconds": episode.duration_seconds,
        "duration_earliest_seconds": episode.duration_earliest_seconds,
        "duration_latest_seconds": episode.duration_latest_seconds,
        "seen_seq": None,
        "seen_at": None,
        "first_sight": episode.first_sight,
        "outcome": None if episode.outcome is None else episode.outcome.value,
        "runs_total": episode.runs.total,
        "runs_completed": episode.runs.completed,
        "runs_failed": episode.runs.failed,
        "runs_cancelled": episode.runs.cancelled,
        "gap_seconds": episode.gap_seconds,
        "polls": episode.polls,
    }


def milestone_rows(
    taskgroup_id: str, number: int, reached: Sequence[Milestone], known: Sequence[Milestone] = ()
) -> Iterator[dict[str, Any]]:
    """Yield the rows of `milestones` for an episode's milestones, except for those in `known`."""
    for milestone in reached:
        if milestone not in known:
            moment, elapsed = milestone.reached, milestone.elapsed
            yield {
                "taskgroup_id": taskgroup_id,
                "episode": number,
                "fraction": milestone.fraction,
                "runs": milestone.runs,
                "at": moment and moment.at,
                "earliest": moment and moment.earliest,
                "latest": moment and moment.latest,
                "basis": moment and moment.basis.value,
                "seconds": elapsed and elapsed.seconds,
                "seconds_earliest": elapsed and elapsed.earliest,
                "seconds_latest": elapsed and elapsed.latest,
            }


def completed_episodes(
    connection: Connection,
    taskgroup_id: str,
    *,
    after: int = 0,
    limit: int | None = None,
    milestones_after: int = 0,
) -> list[Episode]:
    """Return up to `limit` completed episodes of a group after number `after`, oldest first.

    Their milestones are read if their number is above `milestones_after`.
    """
    statement = select(episodes).where(
        episodes.c.taskgroup_id == taskgroup_id,
        episodes.c.completed_at.is_not(None),
        episodes.c.number > after,
    )
    rows = connection.execute(statement.order_by(episodes.c.number).limit(limit)).all()
    last = rows[-1].number if rows else 0
    reached = _find_milestones(connection, taskgroup_id, max(after, milestones_after), last)
    return [_episode_of(row, reached.get(row.number)) for row in rows]


def find_completed(connection: Connection, numbers: Mapping[str, int]) -> dict[str, Episode]:
    """Return one completed episode of each group, given its number by group id, without milestones."""
    if not numbers:
        return {}
    completed = select(episodes).where(episodes.c.completed_at.is_not(None))
    rows = rows_with(
        connection, completed, (episodes.c.taskgroup_id, episodes.c.number), list(numbers.items())
    )
    return {row.taskgroup_id: _episode_of(row, None) for row in rows}


def _episode_of(row: Row[Any], reached: list[Milestone] | None) -> Episode:
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
        runs=RunCounts(row.runs_total, row.runs_completed, row.runs_failed, row.runs_cancelled),
        gap_seconds=row.gap_seconds,
        polls=row.polls,
        milestones=None if reached is None else tuple(reached),
    )


def _find_milestones(
    connection: Connection, taskgroup_id: str, after: int, last: int
) -> dict[int, list[Milestone]]:
    """Return the milestones of a group's episodes after number `after`, up to `last`."""
    found: dict[int, list[Milestone]] = defaultdict(list)
    if last <= after:
        return found
    statement = select(milestones).where(
        milestones.c.taskgroup_id == taskgroup_id,
        milestones.c.episode > after,
        milestones.c.episode <= last,
    )
    for row in connection.execute(statement.order_by(milestones.c.episode, milestones.c.fraction)):
        found[row.episode].append(_milestone_of(row))
    return found


def _milestone_of(row: Row[Any]) -> Milestone:
    if row.at is None:
        return Milestone(row.fraction, row.runs, None, None)
    return Milestone(
        row.fraction,
        row.runs,
        Moment(row.at, row.earliest, row.latest, Basis(row.basis)),
        Elapsed(row.seconds, row.seconds_earliest, row.seconds_latest),
    )
