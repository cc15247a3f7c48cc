"""What the provider claimed about a group's single runs."""

from __future__ import annotations

from flask import Blueprint, Response

from api.context import snapshot
from api.endpoint import operation
from api.middleware.etag import mark_of_group, not_modified_or
from api.responses import page_response
from api.schemas.archived import GROUP_PROBLEMS
from api.schemas.runs import ClaimedRuns
from recorder.queries.groups import require_watch
from recorder.queries.paging import GROUPS_PATH
from recorder.queries.runs import RunsQuery, runs_page

TAG = "runs"
blueprint = Blueprint(TAG, __name__, url_prefix=GROUPS_PATH)


@blueprint.get("/<taskgroup_id>/runs")
@operation("getRuns", tag=TAG, query=RunsQuery, answer=ClaimedRuns, problems=GROUP_PROBLEMS)
def runs(query: RunsQuery, taskgroup_id: str) -> Response:
    """The provider's own account of a group's runs, as the newest snapshot has it: claims, nothing seen."""
    with snapshot() as read:
        connection = read.connection
        found = require_watch(connection, taskgroup_id)

        def build() -> Response:
            return page_response(runs_page(connection, taskgroup_id, query))

        return not_modified_or(mark_of_group(found, read.now), build)
