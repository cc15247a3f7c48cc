"""A group's history."""

from __future__ import annotations

from flask import Blueprint, Response

from api.answers import GROUPS_PATH, history_answer
from api.context import context
from api.operations import operation
from api.queries import HistoryQuery
from api.schemas import HistoryPage, Problem
from api.wire import page_response
from recorder.store.transactions import reading

TAG = "history"
blueprint = Blueprint(TAG, __name__, url_prefix=GROUPS_PATH)


@blueprint.get("/<taskgroup_id>/history")
@operation(
    "getHistory", tag=TAG, query=HistoryQuery, answer=HistoryPage, problems={404: Problem, 503: Problem}
)
def history(query: HistoryQuery, taskgroup_id: str) -> Response:
    """A group's ledger: what was said when, what was not seen, and changes of the watch."""
    here = context()
    with reading(here.engine) as connection:
        page = history_answer(connection, taskgroup_id, query, here.now())
    return page_response(page)
