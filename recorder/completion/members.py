"""Episodes as the JSON members that every reader shows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from recorder.completion.episodes import Episode
from recorder.completion.moments import Moment
from recorder.ledger.times import format_time


def episode_members(episode: Episode) -> dict[str, Any]:
    """Return `episode` as JSON values: times as text, what is not known as None."""
    return {
        "number": episode.number,
        "started": _moment_members(episode.started),
        "completed": None if episode.completed is None else _moment_members(episode.completed),
        "outcome": None if episode.outcome is None else episode.outcome.value,
        "duration_seconds": episode.duration_seconds,
        "duration_earliest_seconds": episode.duration_earliest_seconds,
        "duration_latest_seconds": episode.duration_latest_seconds,
        "censored": episode.censored,
        "first_sight": episode.first_sight,
        "runs": asdict(episode.runs),
        "gap_seconds": episode.gap_seconds,
        "polls": episode.polls,
    }


def _moment_members(moment: Moment) -> dict[str, Any]:
    return {
        "at": format_time(moment.at),
        "earliest": None if moment.earliest is None else format_time(moment.earliest),
        "latest": format_time(moment.latest),
        "basis": moment.basis.value,
    }
