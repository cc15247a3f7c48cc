"""A group's completion."""

from __future__ import annotations

from flask import Blueprint, Response

from api.answers import GROUPS_PATH, completion_answer
from api.context import context
from api.operations import operation
from api.queries import NoQuery
from api.schemas import Completion, Problem
from api.wire import json_response
from recorder.store.transactions import reading

TAG = "completion"
blueprint = Blueprint(TAG, __name__, url_prefix=GROUPS_PATH)


@blueprint.get("/<taskgroup_id>/completion")
@operation("getCompletion", tag=TAG, query=NoQuery, answer=Completion, problems={404: Problem, 503: Problem})
def completion(_: NoQuery, taskgroup_id: str) -> Response:
    """A group's episodes, and where its time went."""
    with reading(context().engine) as connection:
        body = completion_answer(connection, taskgroup_id)
    return json_response(body)
