"""Episodes as JSON values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from recorder.completion.episodes import Episode
from recorder.completion.milestones import Milestone
from recorder.completion.time_bounds import Moment
from recorder.ledger.timestamps import format_time


def episode_members(episode: Episode) -> dict[str, Any]:
    """Return an episode as JSON values: times as text, unknown values as None."""
    return {
        "number": episode.number,
        "started": moment_members(episode.started),
        "completed": None if episode.completed is None else moment_members(episode.completed),
        "outcome": None if episode.outcome is None else episode.outcome.value,
        "duration_seconds": episode.duration_seconds,
        "duration_earliest_seconds": episode.duration_earliest_seconds,
        "duration_latest_seconds": episode.duration_latest_seconds,
        "censored": episode.censored,
        "first_sight": episode.first_sight,
        "runs": asdict(episode.runs),
        "gap_seconds": episode.gap_seconds,
        "polls": episode.polls,
        "milestones": None
        if episode.milestones is None
        else [_milestone_members(milestone) for milestone in episode.milestones],
    }


def _milestone_members(milestone: Milestone) -> dict[str, Any]:
    moment, elapsed = milestone.reached, milestone.elapsed
    return {
        "fraction": milestone.fraction,
        "runs": milestone.runs,
        **(dict.fromkeys(_MOMENT) if moment is None else moment_members(moment)),
        "seconds": elapsed and elapsed.seconds,
        "seconds_earliest": elapsed and elapsed.earliest,
        "seconds_latest": elapsed and elapsed.latest,
    }


_MOMENT = ("at", "earliest", "latest", "basis")


def moment_members(moment: Moment) -> dict[str, Any]:
    """Return a moment as JSON values."""
    return {
        "at": format_time(moment.at),
        "earliest": None if moment.earliest is None else format_time(moment.earliest),
        "latest": format_time(moment.latest),
        "basis": moment.basis.value,
    }
