"""When a group was not seen."""

from __future__ import annotations

from flask import Blueprint, Response

from api.answers import GROUPS_PATH, find_group, gaps_answer, gaps_paging
from api.conditional import fresh_or, mark_of_group
from api.context import context
from api.export_responses import export_response
from api.exports import gaps_export
from api.formats import EXPORTS
from api.operations import operation
from api.queries import GapsQuery
from api.schemas import GapsPage, Problem
from api.wire import page_response
from recorder.store.transactions import reading

TAG = "gaps"
blueprint = Blueprint(TAG, __name__, url_prefix=GROUPS_PATH)


@blueprint.get("/<taskgroup_id>/gaps")
@operation("getGaps", tag=TAG, query=GapsQuery, answer=GapsPage, problems={404: Problem, 503: Problem})
def gaps(query: GapsQuery, taskgroup_id: str) -> Response:
    """Stretches in which a group should have been seen and was not, why, and how much was seen in all."""
    here = context()
    if query.format in EXPORTS:
        return export_response(gaps_export(taskgroup_id, query, query.format, here.now()))
    with reading(here.engine) as connection:
        found = find_group(connection, taskgroup_id)
        # A cursor of another query is refused whatever the client has already.
        gaps_paging(taskgroup_id, query).position()
        return fresh_or(
            mark_of_group(found),
            lambda: page_response(gaps_answer(connection, found, query, here.now())),
        )
