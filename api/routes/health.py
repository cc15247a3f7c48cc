"""Whether the server is running, and whether it is ready to serve groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response

from api.context import context
from api.endpoint import operation
from api.errors import problem
from api.responses import json_response
from api.schemas.health import Health, Readiness, UnreadyProblem
from recorder.ledger.timestamps import format_time
from recorder.queries.params import NoQuery
from recorder.store.heartbeats import Heartbeat, heartbeats
from recorder.store.schema import SchemaError, SchemaState, require_head, state_of
from recorder.store.transactions import DatabaseUnavailableError, reading

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
    """Whether the database can be read and has the required schema, and which recorders are running."""
    here = context()
    try:
        state = state_of(here.engine)
        require_head(state)
        with reading(here.engine) as connection:
            recorders = heartbeats(connection)
    except SchemaError as mismatch:
        return _unready(str(mismatch), _database(state, ok=False))
    except DatabaseUnavailableError:
        return _unready("the database cannot be read at the moment", _database(None, ok=False))
    return json_response(
        {
            "status": "ready",
            "database": _database(state, ok=True),
            "recorders": [_recorder(heartbeat) for heartbeat in recorders],
            "rate_budget": rate_budget(recorders, here.rate),
        }
    )


def rate_budget(recorders: Sequence[Heartbeat], rate: float) -> dict[str, Any]:
    """Return the rate that the recorders report; `rate` is the default while none has reported one."""
    reported = [heartbeat.report["rate"] for heartbeat in recorders if "rate" in heartbeat.report]
    figures = {"requests_per_second": rate, "needed_per_second": None, "stretch": None}
    return {**figures, **(reported[-1] if reported else {}), "recorders": len(recorders)}


def _unready(detail: str, database: dict[str, Any]) -> Response:
    return problem("database-unavailable", detail, database=database, recorders=[])


def _database(state: SchemaState | None, *, ok: bool) -> dict[str, Any]:
    schema = {"current": state and state.current, "head": state and state.head}
    return {"ok": ok, "schema": schema}


def _recorder(heartbeat: Heartbeat) -> dict[str, Any]:
    return {
        "recorder_id": heartbeat.recorder_id,
        "host": heartbeat.host,
        "pid": heartbeat.pid,
        "started_at": format_time(heartbeat.started_at),
        "heartbeat_at": format_time(heartbeat.heartbeat_at),
        "upstream": heartbeat.report.get("upstream"),
    }
