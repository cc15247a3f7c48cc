"""A group's history."""

from __future__ import annotations

from flask import Blueprint, Response

from api.answers import GROUPS_PATH, find_group, history_answer, history_paging
from api.conditional import fresh_or, mark_of_group
from api.context import context
from api.export_responses import export_response
from api.exports import history_export
from api.formats import EXPORTS
from api.operations import operation
from api.past_answers import samples_answer
from api.past_queries import HistoryOrSamplesQuery
from api.past_schemas import HistoryAnswer
from api.schemas import Problem
from api.wire import json_response, page_response
from recorder.store.transactions import reading

TAG = "history"
blueprint = Blueprint(TAG, __name__, url_prefix=GROUPS_PATH)


@blueprint.get("/<taskgroup_id>/history")
@operation(
    "getHistory",
    tag=TAG,
    query=HistoryOrSamplesQuery,
    answer=HistoryAnswer,
    problems={404: Problem, 503: Problem},
)
def history(query: HistoryOrSamplesQuery, taskgroup_id: str) -> Response:
    """A group's ledger: what was said when, what was not seen, and changes of the watch; or samples of it."""
    here = context()
    if query.format in EXPORTS:
        return export_response(history_export(taskgroup_id, query, query.format, here.now()))
    with reading(here.engine) as connection:
        found, now = find_group(connection, taskgroup_id), here.now()
        if query.step is None:
            # A cursor of another query is refused whatever the client has already.
            history_paging(taskgroup_id, query).position()
            return fresh_or(
                mark_of_group(found), lambda: page_response(history_answer(connection, found, query, now))
            )
        return json_response(samples_answer(connection, found, query.from_, query.to, query.step, now=now))
