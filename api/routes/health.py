"""Whether the server is running, and whether it is ready to serve groups."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from api.context import context, snapshot
from api.endpoint import operation
from api.errors import problem
from api.responses import json_response
from api.schemas.health import Health, Readiness, UnreadyProblem
from recorder.queries.query import NoQuery
from recorder.queries.recorders import is_recording, rate_budget_body, recorder_body
from recorder.queries.sinks import sink_body
from recorder.store.deliveries import sink_states
from recorder.store.heartbeats import heartbeats
from recorder.store.schema import SchemaError, SchemaState, require_head, state_of
from recorder.store.transactions import DatabaseUnavailableError
from recorder.store.underived import Deriving, deriving

TAG = "health"
blueprint = Blueprint(TAG, __name__)


@blueprint.get("/healthz")
@operation("getHealth", tag=TAG, query=NoQuery, answer=Health, problems={})
def healthz(_: NoQuery) -> Response:
    """Whether the server is running, whatever the state of its database."""
    return json_response({"status": "ok"})


@blueprint.get("/readyz")
@operation("getReadiness", tag=TAG, query=NoQuery, answer=Readiness, problems={503: UnreadyProblem})
def readyz(_: NoQuery) -> Response:
    """Whether the database can be read and has the required schema, and whether recorders record."""
    here = context()
    try:
        state = state_of(here.engine)
        require_head(state)
        with snapshot() as read:
            recorders, now = heartbeats(read.connection), read.now
            sinks = sink_states(read.connection)
    except SchemaError as mismatch:
        return _unready(str(mismatch), _database(state, ok=False))
    except DatabaseUnavailableError:
        return _unready("the database cannot be read at the moment", _database(None, ok=False))
    return json_response(
        {
            "status": "ready",
            "recording": is_recording(recorders, now),
            "database": _database(state, ok=True, left=_left_to_derive()),
            "recorders": [recorder_body(heartbeat, now) for heartbeat in recorders],
            "rate_budget": rate_budget_body(recorders, now, here.rate),
            "sinks": [sink_body(state) for state in sinks],
        }
    )


def _left_to_derive() -> Deriving | None:
    """Return how far deriving anew has come; None also if that cannot be found out in time."""
    try:
        with snapshot() as read:
            return deriving(read.connection)
    except DatabaseUnavailableError:
        return None


def _unready(detail: str, database: dict[str, Any]) -> Response:
    return problem("database-unavailable", detail, database=database, recorders=[])


def _database(state: SchemaState | None, *, ok: bool, left: Deriving | None = None) -> dict[str, Any]:
    schema = {"current": state and state.current, "head": state and state.head}
    return {"ok": ok, "schema": schema, "deriving": left and left.members()}
