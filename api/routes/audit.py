"""The audit trail.

These answers are made each time, and their ETags are of their bytes: they show what somebody did to a ledger
past its watch row.
"""

from __future__ import annotations

from flask import Blueprint, Response

from api.context import context
from api.endpoint import operation
from api.responses import json_response
from api.schemas.audit import Audit, Checkpoint
from api.schemas.common import Problem
from recorder.queries.audit import audit_answer, checkpoint_answer
from recorder.queries.groups import require_group
from recorder.queries.paging import GROUPS_PATH
from recorder.queries.params import NoQuery
from recorder.store.transactions import reading

TAG = "audit"
blueprint = Blueprint(TAG, __name__)


@blueprint.get(f"{GROUPS_PATH}/<taskgroup_id>/audit")
@operation("getAudit", tag=TAG, query=NoQuery, answer=Audit, problems={404: Problem, 503: Problem})
def audit(_: NoQuery, taskgroup_id: str) -> Response:
    """What there is to audit of a group: its head, how many entries it has, and what is odd about them."""
    with reading(context().engine) as connection:
        found = require_group(connection, taskgroup_id)
        return json_response(audit_answer(connection, found))


@blueprint.get("/api/v1/audit/checkpoint")
@operation("getCheckpoint", tag=TAG, query=NoQuery, answer=Checkpoint, problems={503: Problem})
def checkpoint(_: NoQuery) -> Response:
    """The heads of all ledgers in one snapshot: kept elsewhere, it proves later that all still stands."""
    with reading(context().engine) as connection:
        return json_response(checkpoint_answer(connection))
