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
from api.bodies import MOST_BODY_BYTES
from api.enrolling import EnrolmentDatabase
from recorder.ledger.entries import Action
from recorder.store.batches import Deadline
from recorder.store.engine import check_url, open_engine
from recorder.store.enrolment import cease_watching, watch_group
from recorder.store.events import publish_events
from recorder.store.migrate import upgrade
from recorder.store.transactions import writing
from recorder.tokens import read_tokens
from tests.support.api_client import app_without_database
from tests.support.recording import RULES, Recording, active, after, settled
from tests.support.run_claims import backfill, said

FILE = Path(__file__).resolve().parents[2] / "api" / "openapi" / "examples.json"
GROUP = "tgrp_4f2a"
ADDRESSES = {
    "listGroups": "/api/v1/groups?limit=1",
    "getGroup": f"/api/v1/groups/{GROUP}",
    "getStatus": f"/api/v1/groups/{GROUP}/status?at=2026-11-24T12:00:25Z",
    "getHistory": f"/api/v1/groups/{GROUP}/history?limit=2",
    "getGaps": f"/api/v1/groups/{GROUP}/gaps",
    "getCompletion": f"/api/v1/groups/{GROUP}/completion",
    "getRuns": "/api/v1/groups/tgrp_9b01/runs",
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


BODIES = {
    "enrolGroups": {"taskgroup_id": "tgrp_c7d0", "note": "November batch", "expected_runs": 200},
    "expectOfGroup": {"add_runs": 50},
}
"""An example of the body of each operation that takes one, by its ID."""
POSTED = {"enrolGroups": "/api/v1/groups", "expectOfGroup": "/api/v1/groups/tgrp_c7d0/expectation"}
SECRET = "example"
JSON_TYPE = {"Content-Type": "application/json"}


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
    claims = [said(1, created=95, modified=104, processor="lite"), said(2, created=95, modified=109.5)]
    backfill(engine, "tgrp_9b01", claims, after(113))
    with writing(engine) as connection:
        publish_events(connection)


def app_over(engine: Engine) -> Flask:
    """The API at the time for which the examples are generated."""
    return create_app(engine, now=lambda: after(113))


def example_responses(engine: Engine) -> dict[str, Any]:
    """Return a response for each operation, by its ID, and a problem for each HTTP error status."""
    app = app_over(engine)
    examples = {name: app.test_client().get(address).get_json() for name, address in ADDRESSES.items()}
    problems = {str(status): problem for status, problem in _problems(engine)}
    enrolling = enrolling_app(engine).test_client()
    headers = {"x-api-key": SECRET}
    for name, address in POSTED.items():
        examples[name] = enrolling.post(address, json=BODIES[name], headers=headers).get_json()
    bodies = {f"{name} body": body for name, body in BODIES.items()}
    return examples | bodies | problems


def enrolling_app(engine: Engine) -> Flask:
    """The same API with a token for enrolling, whose secret is SECRET."""
    token = read_tokens(f"batches:{sha256(SECRET.encode()).hexdigest()}:enrol")
    database = EnrolmentDatabase(engine, RULES, lambda: after(113))
    return create_app(engine, now=lambda: after(113), tokens=token, enrolment=database)


def _problems(engine: Engine) -> Iterator[tuple[int, Any]]:
    app, group = app_over(engine), ADDRESSES["getGroup"]
    token = read_tokens(f"example:{sha256(b'example').hexdigest()}")
    yield _problem(create_app(engine, tokens=token), group)
    yield _problem(app, group, {"Host": "rebound.example"})
    yield _problem(app, f"{group}0")
    yield _problem(app, group, {"Accept": "text/html"})
    yield _problem(app, "/api/v1/groups?phase=done&limti=10")
    yield from _problems_of_bodies(engine)
    yield _problem(create_app(engine, now=_broken_clock), group)
    yield _problem(app_without_database(), group)


def _problems_of_bodies(engine: Engine) -> Iterator[tuple[int, Any]]:
    client, headers = enrolling_app(engine).test_client(), {"x-api-key": SECRET}
    watch_group(engine, "tgrp_old", actor="ada", note=None, now=lambda: after(90), rules=RULES)
    cease_watching(
        engine,
        "tgrp_old",
        Action.STOPPED,
        actor="ada",
        note=None,
        now=lambda: after(91),
        deadline=Deadline(0),
    )
    expectation = "/api/v1/groups/tgrp_old/expectation"
    for response in (
        client.post(expectation, json=BODIES["expectOfGroup"], headers=headers),
        client.post(POSTED["enrolGroups"], data=b" " * (MOST_BODY_BYTES + 1), headers=headers | JSON_TYPE),
        client.post(POSTED["enrolGroups"], data="taskgroup_id=tgrp_c7d0", headers=headers),
    ):
        yield response.status_code, response.get_json()


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
