"""Completion of one group, and of many."""

from __future__ import annotations

from flask import Blueprint, Response

from api.context import context, snapshot
from api.endpoint import operation
from api.exports.batches import completion_export
from api.exports.streaming import export_response
from api.middleware.etag import mark_of_all, mark_of_group, not_modified_or
from api.responses import json_response
from api.schemas.archived import GROUP_PROBLEMS
from api.schemas.common import Problem
from api.schemas.completion import CompletionStatistics, Curve, GroupCompletion
from recorder.queries.comparison import StatisticsQuery, statistics_or_comparison
from recorder.queries.completion import CurveQuery, completion_answer, curve_answer
from recorder.queries.eta import eta_of
from recorder.queries.formats import EXPORTS
from recorder.queries.groups import require_group
from recorder.queries.paging import GROUPS_PATH
from recorder.queries.query import ExportQuery

TAG = "completion"
blueprint = Blueprint(TAG, __name__)


@blueprint.get(f"{GROUPS_PATH}/<taskgroup_id>/completion")
@operation(
    "getCompletion",
    tag=TAG,
    query=ExportQuery,
    answer=GroupCompletion,
    problems=GROUP_PROBLEMS,
)
def group_completion(query: ExportQuery, taskgroup_id: str) -> Response:
    """A group's episodes, how its time was spent, and when it is expected to be done."""
    if query.format in EXPORTS:
        with snapshot() as read:
            export = completion_export(read.connection, taskgroup_id, query.format)
        return export_response(export)
    here = context()
    with snapshot() as read:
        connection = read.connection
        found = require_group(connection, taskgroup_id)
        eta = eta_of(connection, found, here.cohort_key)
        return not_modified_or(
            mark_of_group(found, read.now, eta),
            lambda: json_response(completion_answer(connection, found, eta)),
        )


@blueprint.get("/api/v1/completion")
@operation(
    "getStatistics", tag=TAG, query=StatisticsQuery, answer=CompletionStatistics, problems={503: Problem}
)
def statistics(query: StatisticsQuery) -> Response:
    """How long episodes lasted, one item per cohort; open episodes count as lasting longer than seen.

    With compare, two items: the selected episodes, and those that they are compared with."""
    with snapshot() as read:
        return not_modified_or(
            mark_of_all(read.connection),
            lambda: json_response(statistics_or_comparison(read.connection, query)),
        )


@blueprint.get("/api/v1/completion/curve")
@operation("getCurve", tag=TAG, query=CurveQuery, answer=Curve, problems={503: Problem})
def curve(query: CurveQuery) -> Response:
    """The Kaplan-Meier curve: the share of episodes that last longer than each duration."""
    with snapshot() as read:
        return not_modified_or(
            mark_of_all(read.connection), lambda: json_response(curve_answer(read.connection, query))
        )
