"""Groups, and how they stand."""

from __future__ import annotations

from flask import Blueprint, Response

from api.answers import GROUPS_PATH, group_answer, groups_answer, status_answer
from api.context import context
from api.group_queries import GroupsQuery
from api.operations import operation
from api.past_answers import status_at_answer
from api.past_queries import StatusQuery
from api.past_schemas import StatusAnswer
from api.queries import NoQuery
from api.schemas import Group, GroupsPage, Problem
from api.wire import json_response, page_response
from recorder.store.transactions import reading

TAG = "groups"
blueprint = Blueprint(TAG, __name__, url_prefix=GROUPS_PATH)


@blueprint.get("")
@operation("listGroups", tag=TAG, query=GroupsQuery, answer=GroupsPage, problems={503: Problem})
def groups(query: GroupsQuery) -> Response:
    """Groups, the newest enrolment first."""
    here = context()
    with reading(here.engine) as connection:
        page = groups_answer(connection, query, here.now(), here.cohort_key)
    return page_response(page)


@blueprint.get("/<taskgroup_id>")
@operation("getGroup", tag=TAG, query=NoQuery, answer=Group, problems={404: Problem, 503: Problem})
def group(_: NoQuery, taskgroup_id: str) -> Response:
    """How a group stands."""
    here = context()
    with reading(here.engine) as connection:
        body = group_answer(connection, taskgroup_id, here.now(), here.cohort_key)
    return json_response(body)


@blueprint.get("/<taskgroup_id>/status")
@operation(
    "getStatus", tag=TAG, query=StatusQuery, answer=StatusAnswer, problems={404: Problem, 503: Problem}
)
def status(query: StatusQuery, taskgroup_id: str) -> Response:
    """A group's latest status, or the one at a moment of the past with how certain it is."""
    here = context()
    with reading(here.engine) as connection:
        if query.at is None:
            body = status_answer(connection, taskgroup_id)
        else:
            body = status_at_answer(connection, taskgroup_id, query.at, here.now())
    return json_response(body)
