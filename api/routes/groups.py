"""Groups and their current state."""

from __future__ import annotations

from flask import Blueprint, Response

from api.context import context, snapshot
from api.endpoint import operation
from api.exports.batches import groups_export
from api.exports.streaming import export_response
from api.middleware.etag import mark_of_group, mark_of_groups, not_modified_or
from api.responses import json_response, page_response
from api.schemas.archived import GROUP_PROBLEMS
from api.schemas.as_of import StatusAnswer
from api.schemas.common import Group, GroupsPage, Problem
from recorder.queries.as_of import StatusQuery, require_past, status_at_answer
from recorder.queries.eta import eta_of
from recorder.queries.formats import EXPORTS
from recorder.queries.groups import GroupsQuery, group_body, list_page, require_group, status_body
from recorder.queries.paging import GROUPS_PATH
from recorder.queries.query import NoQuery

TAG = "groups"
blueprint = Blueprint(TAG, __name__, url_prefix=GROUPS_PATH)


@blueprint.get("")
@operation("listGroups", tag=TAG, query=GroupsQuery, answer=GroupsPage, problems={503: Problem})
def groups(query: GroupsQuery) -> Response:
    """All groups, newest enrolment first."""
    here = context()
    if query.format in EXPORTS:
        with snapshot() as read:
            export = groups_export(read.connection, query, query.format, read.now, here.cohort_key)
        return export_response(export)
    with snapshot() as read:
        listing = list_page(read.connection, query, read.now, here.cohort_key)
        mark = mark_of_groups(listing.page.items, read.now, listing.page.cursor, listing.count, listing.etas)
        return not_modified_or(mark, lambda: page_response(listing.body(read.now)))


@blueprint.get("/<taskgroup_id>")
@operation(
    "getGroup",
    tag=TAG,
    query=NoQuery,
    answer=Group,
    problems=GROUP_PROBLEMS,
)
def group(_: NoQuery, taskgroup_id: str) -> Response:
    """The current state of a group."""
    here = context()
    with snapshot() as read:
        found = require_group(read.connection, taskgroup_id)
        eta = eta_of(read.connection, found, here.cohort_key)
        return not_modified_or(
            mark_of_group(found, read.now, eta), lambda: json_response(group_body(found, eta, read.now))
        )


@blueprint.get("/<taskgroup_id>/status")
@operation(
    "getStatus",
    tag=TAG,
    query=StatusQuery,
    answer=StatusAnswer,
    problems=GROUP_PROBLEMS,
)
def status(query: StatusQuery, taskgroup_id: str) -> Response:
    """A group's latest status, or its status at a moment in the past and how certain that is."""
    with snapshot() as read:
        found = require_group(read.connection, taskgroup_id)
        if query.at is not None:
            require_past(query.at, read.now)

        def build() -> Response:
            if query.at is None:
                return json_response(status_body(found))
            return json_response(status_at_answer(read.connection, found.watch, query.at, read.now))

        return not_modified_or(mark_of_group(found, read.now), build)
