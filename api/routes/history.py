"""A group's history."""

from __future__ import annotations

from flask import Blueprint, Response

from api.context import snapshot
from api.endpoint import operation
from api.exports.batches import history_export
from api.exports.streaming import export_response
from api.middleware.etag import mark_of_group, not_modified_or
from api.responses import json_response, page_response
from api.schemas.archived import GROUP_PROBLEMS
from api.schemas.as_of import HistoryAnswer
from recorder.queries.as_of import HistoryOrSamplesQuery, samples_answer
from recorder.queries.formats import EXPORTS
from recorder.queries.groups import require_watch
from recorder.queries.history import history_request, line_body, read_page
from recorder.queries.paging import GROUPS_PATH

TAG = "history"
blueprint = Blueprint(TAG, __name__, url_prefix=GROUPS_PATH)


@blueprint.get("/<taskgroup_id>/history")
@operation(
    "getHistory",
    tag=TAG,
    query=HistoryOrSamplesQuery,
    answer=HistoryAnswer,
    problems=GROUP_PROBLEMS,
)
def history(query: HistoryOrSamplesQuery, taskgroup_id: str) -> Response:
    """A group's ledger: status changes, gaps and changes of the watch; or samples of it."""
    if query.format in EXPORTS:
        with snapshot() as read:
            export = history_export(read.connection, taskgroup_id, query, query.format, read.now)
        return export_response(export)
    with snapshot() as read:
        connection, now = read.connection, read.now
        found = require_watch(connection, taskgroup_id)
        if query.step is not None:
            since, until = query.from_, query.to
            return json_response(samples_answer(connection, found.watch, since, until, query.step, now=now))
        asked = history_request(taskgroup_id, query)
        return not_modified_or(
            mark_of_group(found, now),
            lambda: page_response(read_page(connection, found.watch, asked, now).body(line_body)),
        )
