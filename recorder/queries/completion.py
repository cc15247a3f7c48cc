"""Completion of one group and of many: query parameters, and answers as JSON-ready values."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema
from sqlalchemy import Connection

from recorder.completion.dwell import count_until_last_seen
from recorder.completion.episode_json import episode_members
from recorder.completion.episodes import open_episode
from recorder.completion.labels import scalar_of
from recorder.completion.statistics import curve_items, statistics_of
from recorder.ledger.timestamps import format_time
from recorder.queries.label_params import LabelledQuery, key_of
from recorder.queries.param_types import TimeParam, complaint
from recorder.queries.query import StretchQuery
from recorder.store.derived import summary_of
from recorder.store.durations import Selection, durations_of
from recorder.store.episode_rows import completed_episodes
from recorder.store.groups import GroupItem

MOST_WITH_MILESTONES = 100
"""How many of a group's episodes, the newest ones, have their milestones in its completion."""
_OUTCOME = (
    "cannot be outcome: running episodes have none yet, and leaving them out would make everything look "
    "faster than it is; group by metadata.KEY"
)


def _label(text: object) -> str:
    if text == "outcome":
        raise complaint(_OUTCOME)
    key = key_of(str(text))
    if key is None:
        raise complaint("is not metadata.KEY, such as metadata.processor")
    return key


def _only(word: str, meaning: str) -> BeforeValidator:
    def read(text: object) -> object:
        if text != word:
            raise complaint(f"can only be {word}: {meaning}")
        return text

    return BeforeValidator(read)


GroupByParam = Annotated[
    str | None,
    BeforeValidator(_label),
    WithJsonSchema({"type": "string", "pattern": r"^metadata(\..+|\[.+\])$"}),
]
SinceParam = Annotated[
    Literal["created"] | None,
    _only("created", "durations from the groups' created_at, first episodes only"),
    WithJsonSchema({"type": "string", "enum": ["created"]}),
]
EnrolledParam = Annotated[
    Literal["prospective"] | None,
    _only("prospective", "only episodes whose start was observed"),
    WithJsonSchema({"type": "string", "enum": ["prospective"]}),
]


class CurveQuery(LabelledQuery, StretchQuery):
    """Which episodes the curve is drawn for."""

    from_: TimeParam = Field(
        None, alias="from", description="only episodes that started at or after this time"
    )
    to: TimeParam = Field(None, description="only episodes that started before this time")
    since: SinceParam = Field(
        None,
        description="created: measure from the groups' created_at, first episodes only; groups whose "
        "created_at is unknown are left out",
    )
    enrolled: EnrolledParam = Field(None, description="prospective: only episodes whose start was observed")


class CompletionQuery(CurveQuery):
    """Which episodes to summarize, and how to group them."""

    group_by: GroupByParam = Field(
        None,
        description="metadata.KEY: one item for each value of KEY in the groups' metadata, at most 1,000",
    )


def completion_answer(connection: Connection, group: GroupItem, eta: dict[str, Any]) -> dict[str, Any]:
    """Return a group's episodes, where its time went, and its `eta` as JSON values."""
    taskgroup_id = group.watch.taskgroup_id
    summary, opened = summary_of(connection, taskgroup_id), group.watch.open
    current = open_episode(summary.work, opened)
    newest = summary.work.episodes + (current is not None)
    completed = completed_episodes(connection, taskgroup_id, milestones_after=newest - MOST_WITH_MILESTONES)
    episodes = [*completed, *([current] if current else [])]
    dwell = count_until_last_seen(summary.dwell, opened)
    return {
        "episodes": [episode_members(episode) for episode in episodes],
        "run_seconds": dwell.run_seconds(),
        "dwell_seconds": dwell.phase_seconds(),
        "eta": eta,
    }


def statistics_answer(connection: Connection, query: CompletionQuery) -> dict[str, Any]:
    """Return how long the selected episodes lasted, by cohort, as JSON values.

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
    """Return the Kaplan-Meier curve of the selected episodes as JSON values."""
    selected = durations_of(connection, selection_of(query))
    return {"as_of": _time(selected.as_of), "items": curve_items(selected.cohorts[0].durations)}


def selection_of(query: CurveQuery) -> Selection:
    """Return the episodes that `query` selects, all in one cohort."""
    return Selection(
        since_created=query.since is not None,
        prospective=query.enrolled is not None,
        from_=query.from_,
        until=query.to,
        labels=tuple(query.metadata.items()),
    )


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)
