"""The gaps of a group."""

from __future__ import annotations

from flask import Blueprint, Response

from api.context import snapshot
from api.endpoint import operation
from api.exports.batches import gaps_export
from api.exports.streaming import export_response
from api.middleware.etag import mark_of_group, not_modified_or
from api.responses import page_response
from api.schemas.archived import GROUP_PROBLEMS
from api.schemas.common import GapsPage
from recorder.queries.formats import EXPORTS
from recorder.queries.gaps import GapsQuery, gaps_body, gaps_request
from recorder.queries.groups import require_watch
from recorder.queries.history import read_page
from recorder.queries.paging import GROUPS_PATH

TAG = "gaps"
blueprint = Blueprint(TAG, __name__, url_prefix=GROUPS_PATH)


@blueprint.get("/<taskgroup_id>/gaps")
@operation(
    "getGaps",
    tag=TAG,
    query=GapsQuery,
    answer=GapsPage,
    problems=GROUP_PROBLEMS,
)
def gaps(query: GapsQuery, taskgroup_id: str) -> Response:
    """Periods in which a group should have been seen but was not, with their causes, and its coverage."""
    if query.format in EXPORTS:
        with snapshot() as read:
            export = gaps_export(read.connection, taskgroup_id, query, query.format, read.now)
        return export_response(export)
    with snapshot() as read:
        connection, now = read.connection, read.now
        found = require_watch(connection, taskgroup_id)
        asked = gaps_request(taskgroup_id, query)

        def build() -> Response:
            page = read_page(connection, found.watch, asked, now)
            return page_response(gaps_body(connection, found.watch, page))

        return not_modified_or(mark_of_group(found, now), build)
