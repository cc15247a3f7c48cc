"""The audit summary of a group, and the checkpoint.

These responses are built on every request and get their ETag from the body: they must also show changes made
to a ledger behind the back of its watch row.
"""

from __future__ import annotations

from flask import Blueprint, Response

from api.context import snapshot
from api.endpoint import operation
from api.responses import json_response
from api.schemas.archived import GROUP_PROBLEMS
from api.schemas.audit import Audit, Checkpoint
from api.schemas.common import Problem
from recorder.queries.audit import audit_answer, checkpoint_answer
from recorder.queries.groups import require_group
from recorder.queries.paging import GROUPS_PATH
from recorder.queries.query import NoQuery

TAG = "audit"
blueprint = Blueprint(TAG, __name__)


@blueprint.get(f"{GROUPS_PATH}/<taskgroup_id>/audit")
@operation(
    "getAudit",
    tag=TAG,
    query=NoQuery,
    answer=Audit,
    problems=GROUP_PROBLEMS,
)
def audit(_: NoQuery, taskgroup_id: str) -> Response:
    """An audit summary of a group: its head, the number of entries, and their anomalies."""
    with snapshot() as read:
        found = require_group(read.connection, taskgroup_id)
        return json_response(audit_answer(read.connection, found))


@blueprint.get("/api/v1/audit/checkpoint")
@operation("getCheckpoint", tag=TAG, query=NoQuery, answer=Checkpoint, problems={503: Problem})
def checkpoint(_: NoQuery) -> Response:
    """The heads of all ledgers in one snapshot; a copy kept elsewhere reveals later changes to them."""
    with snapshot() as read:
        return json_response(checkpoint_answer(read.connection))
