"""Completion in full: statistics and curves of each cohort, or of two sides that are compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from recorder.completion.comparison import compared
from recorder.completion.labels import mark_of, scalar_of
from recorder.completion.statistics import curve_items, statistics_of
from recorder.ledger.timestamps import format_time
from recorder.queries.comparison import StatisticsQuery, sides_of
from recorder.queries.completion import selection_of
from recorder.store.durations import Selected, durations_of
from recorder.store.milestone_times import milestone_times


def curves_answer(connection: Connection, query: StatisticsQuery, most_curves: int) -> dict[str, Any]:
    """Return what `statistics_or_comparison` returns, each item with its `curve` and its `milestones`.

    Only the first `most_curves` items have a curve; it is None in the others. Milestones are those of the
    newest episodes, None if durations are not measured from the start of episodes.

    Raises:
        TooManyCohortsError: there are too many values to group by.
    """
    if query.compare is not None:
        sides = sides_of(query)
        both = [durations_of(connection, side) for side in sides]
        reached = [milestone_times(connection, side).get(None) for side in sides]
        durations = [selected.cohorts[0].durations for selected in both]
        statistics, comparison = compared(*durations)
        keys: list[Any] = [query.value, query.than_value]
    else:
        selection = replace(selection_of(query), group_by=query.group_by)
        both = [durations_of(connection, selection)]
        times = milestone_times(connection, selection)
        marks = [None if cohort.value is None else mark_of(cohort.value) for cohort in both[0].cohorts]
        reached = [times.get(mark) for mark in marks]
        durations = [cohort.durations for cohort in both[0].cohorts]
        statistics, comparison = [statistics_of(each) for each in durations], None
        values = [cohort.value for cohort in both[0].cohorts]
        keys = [None if value is None else scalar_of(value) for value in values]
    items = [
        {
            "key": key,
            **figures,
            "curve": curve_items(each) if number < most_curves else None,
            "milestones": None if times is None else times.medians(),
        }
        for number, (key, figures, each, times) in enumerate(
            zip(keys, statistics, durations, reached, strict=True)
        )
    ]
    return {"as_of": _newest(both), "items": items, "comparison": comparison}


def _newest(selected: list[Selected]) -> str | None:
    known = [each.as_of for each in selected if each.as_of is not None]
    return format_time(max(known)) if known else None
