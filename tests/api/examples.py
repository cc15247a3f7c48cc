"""The answers that the API's document shows as examples: those of one recording, asked for anew.

    python -m tests.api.examples

writes them into the API's folder.
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
from recorder.store.migrate import upgrade
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
    "getCheckpoint": "/api/v1/audit/checkpoint",
    "getHealth": "/healthz",
    "getReadiness": "/readyz",
    "getProviderGroup": f"/v1/tasks/groups/{GROUP}",
    "getProviderGroupBeta": f"/v1beta/tasks/groups/{GROUP}",
}


def record(engine: Engine) -> None:
    """A group that was not seen for a while, settled, and works again; and one that is done."""
    recording = Recording(engine)
    told = {"metadata": {"customer": "acme", "processor": "core"}, "created_at": "2026-11-24T11:59:30Z"}
    recording.watch(GROUP)
    recording.see(GROUP, 0.25, {"num_task_runs": 0, "task_run_status_counts": {}, "is_active": False}, **told)
    recording.see(GROUP, 10.5, active(running=3), **told)
    recording.see(GROUP, 20.5, active(running=3), **told)
    recording.see(GROUP, 30.5, active(running=2, completed=1), **told)
    for at in (42, 55, 75):
        recording.fail(GROUP, at)
    recording.see(GROUP, 95.5, settled(completed=2, failed=1), **told)
    recording.see(GROUP, 105.5, active(running=2, completed=2, failed=1), **told)
    recording.watch("tgrp_9b01", 100)
    lite = {"metadata": {"customer": "globex", "processor": "lite"}, "created_at": "2026-11-24T12:01:30Z"}
    recording.see("tgrp_9b01", 101, active(running=2), **lite)
    recording.see("tgrp_9b01", 112, settled(completed=2), **lite)


def app_over(engine: Engine) -> Flask:
    """The API at the moment when it is asked."""
    return create_app(engine, now=lambda: after(113))


def answers(engine: Engine) -> dict[str, Any]:
    """Return the answer of each operation, by its name, and a problem of each HTTP status code."""
    app = app_over(engine)
    found = {name: app.test_client().get(address).get_json() for name, address in ADDRESSES.items()}
    return found | {str(status): problem for status, problem in _problems(engine)}


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
    answer = app.test_client().get(address, headers=headers)
    body = answer.get_json()
    if answer.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
        # A new one each time.
        body["instance"] = "urn:uuid:9c7fd0a5-6a3b-4c8f-b1f4-2f6c1d8f0e57"
    return answer.status_code, body


def _broken_clock() -> NoReturn:
    raise ArithmeticError("a defect")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(check_url(f"sqlite:///{folder}/recorder.db"))
        upgrade(engine)
        record(engine)
        found = answers(engine)
        engine.dispose()
    FILE.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(found)} examples written to {FILE}\n")


if __name__ == "__main__":
    main()
