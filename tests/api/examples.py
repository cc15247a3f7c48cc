"""Generate the example responses in the OpenAPI document from one recording.

    python -m tests.api.examples

writes them to `api/openapi/examples.json`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any, NoReturn

from flask import Flask
from sqlalchemy import Engine

from api.app import create_app
from recorder.store.engine import check_url, open_engine
from recorder.store.events import publish_events
from recorder.store.migrate import upgrade
from recorder.store.transactions import writing
from recorder.tokens import read_tokens
from tests.support.api_client import app_without_database
from tests.support.recording import Recording, active, after, settled

FILE = Path(__file__).resolve().parents[2] / "api" / "openapi" / "examples.json"
GROUP = "tgrp_4f2a"
ADDRESSES = {
    "listGroups": "/api/v1/groups?limit=1",
    "getGroup": f"/api/v1/groups/{GROUP}",
    "getStatus": f"/api/v1/groups/{GROUP}/status?at=2026-11-24T12:00:25Z",
    "getHistory": f"/api/v1/groups/{GROUP}/history?limit=2",
    "getGaps": f"/api/v1/groups/{GROUP}/gaps",
    "getCompletion": f"/api/v1/groups/{GROUP}/completion",
    "getAudit": f"/api/v1/groups/{GROUP}/audit",
    "getStatistics": "/api/v1/completion?group_by=metadata.processor",
    "getCurve": "/api/v1/completion/curve",
    "listEvents": "/api/v1/events?limit=2",
    "getCheckpoint": "/api/v1/audit/checkpoint",
    "getHealth": "/healthz",
    "getReadiness": "/readyz",
    "getProviderGroup": f"/v1/tasks/groups/{GROUP}",
    "getProviderGroupBeta": f"/v1beta/tasks/groups/{GROUP}",
}


def record_groups(engine: Engine) -> None:
    """Record two groups: one with a gap that settles and then gets more runs, and one that completes."""
    recording = Recording(engine)
    core = {"metadata": {"customer": "acme", "processor": "core"}, "created_at": "2026-11-24T11:59:30Z"}
    recording.watch(GROUP)
    recording.see(GROUP, 0.25, {"num_task_runs": 0, "task_run_status_counts": {}, "is_active": False}, **core)
    recording.see(GROUP, 10.5, active(running=3), **core)
    recording.see(GROUP, 20.5, active(running=3), **core)
    recording.see(GROUP, 30.5, active(running=2, completed=1), **core)
    for at in (42, 55, 75):
        recording.fail(GROUP, at)
    recording.see(GROUP, 95.5, settled(completed=2, failed=1), **core)
    recording.see(GROUP, 105.5, active(running=2, completed=2, failed=1), **core)
    recording.watch("tgrp_9b01", 100)
    lite = {"metadata": {"customer": "globex", "processor": "lite"}, "created_at": "2026-11-24T12:01:30Z"}
    recording.see("tgrp_9b01", 101, active(running=2), **lite)
    recording.see("tgrp_9b01", 112, settled(completed=2), **lite)
    with writing(engine) as connection:
        publish_events(connection)


def app_over(engine: Engine) -> Flask:
    """The API at the time for which the examples are generated."""
    return create_app(engine, now=lambda: after(113))


def example_responses(engine: Engine) -> dict[str, Any]:
    """Return a response for each operation, by its ID, and a problem for each HTTP error status."""
    app = app_over(engine)
    examples = {name: app.test_client().get(address).get_json() for name, address in ADDRESSES.items()}
    return examples | {str(status): problem for status, problem in _problems(engine)}


def _problems(engine: Engine) -> Iterator[tuple[int, Any]]:
    app, group = app_over(engine), ADDRESSES["getGroup"]
    token = read_tokens(f"example:{sha256(b'example').hexdigest()}")
    yield _problem(create_app(engine, tokens=token), group)
    yield _problem(app, group, {"Host": "rebound.example"})
    yield _problem(app, f"{group}0")
    yield _problem(app, group, {"Accept": "text/html"})
    yield _problem(app, "/api/v1/groups?phase=done&limti=10")
    yield _problem(create_app(engine, now=_broken_clock), group)
    yield _problem(app_without_database(), group)


def _problem(app: Flask, address: str, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    response = app.test_client().get(address, headers=headers)
    body = response.get_json()
    if response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
        # It differs each time.
        body["instance"] = "urn:uuid:9c7fd0a5-6a3b-4c8f-b1f4-2f6c1d8f0e57"
    return response.status_code, body


def _broken_clock() -> NoReturn:
    raise ArithmeticError("a defect")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(check_url(f"sqlite:///{folder}/recorder.db"))
        upgrade(engine)
        record_groups(engine)
        examples = example_responses(engine)
        engine.dispose()
    FILE.write_text(json.dumps(examples, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(examples)} examples written to {FILE}\n")


if __name__ == "__main__":
    main()
