"""Archived groups: their routes answer 410 with the tombstone, and lists leave them out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, text

from recorder.store.events import publish_events
from recorder.store.transactions import reading, writing
from tests.support.api_client import Client
from tests.support.archives import archive, record_old

GROUP = "/api/v1/groups/done"
EMPTY = ("status_history", "latest_status", "group_metadata", "observation_gaps")


@pytest.fixture
def statistics(engine: Engine, client: Client, tmp_path: Path) -> list[Any]:
    """What was said of all groups before `cut`, `done` and `unseen` were archived."""
    record_old(engine)
    with writing(engine) as connection:
        publish_events(connection)
    before = _statistics(client)
    archive(engine, tmp_path / "old.zst")
    return before


def _statistics(client: Client) -> list[Any]:
    paths = ("", "?group_by=metadata.batch", "?since=created", "/curve", "?metadata.batch=0")
    return [client.get(f"/api/v1/completion{path}") for path in paths] + [client.get("/api/v1/events")]


def test_statistics_and_events_do_not_change(client: Client, statistics: list[Any]) -> None:
    assert _statistics(client) == statistics


@pytest.mark.parametrize("resource", ["", "/status", "/history", "/gaps", "/completion", "/runs", "/audit"])
def test_routes_answer_with_the_tombstone(client: Client, statistics: list[Any], resource: str) -> None:
    problem = client.get(f"{GROUP}{resource}", 410)
    tombstone = problem.pop("tombstone")
    assert problem == {
        "type": "/docs/problems#archived",
        "title": "Archived",
        "status": 410,
        "detail": "group 'done' is archived; bring it back first with: recorder import --restore FILE",
        "instance": f"{GROUP}{resource}",
    }
    assert (tombstone["taskgroup_id"], tombstone["head_seq"], tombstone["entries"]) == ("done", 7, 7)
    assert tombstone["archived_at"] == "2026-11-25T12:00:00.000000Z"


def test_exports_and_the_providers_route(flask_client: FlaskClient, statistics: list[Any]) -> None:
    assert flask_client.get(f"{GROUP}/history?format=csv").status_code == 410
    response = flask_client.get("/v1/tasks/groups/done")
    assert response.status_code == 410
    assert json.loads(response.get_data())["error"]["detail"]["tombstone"]["taskgroup_id"] == "done"


def test_lists_leave_them_out(client: Client, engine: Engine, statistics: list[Any]) -> None:
    assert [item["taskgroup_id"] for item in client.get("/api/v1/groups")["items"]] == ["live"]
    assert [item["taskgroup_id"] for item in client.get("/api/v1/audit/checkpoint")["items"]] == ["live"]
    with reading(engine) as connection:
        for view in EMPTY:
            found = connection.scalars(text(f"SELECT DISTINCT taskgroup_id FROM {view}"))
            assert set(found) == {"live"}
        for view in ("group_completion", "group_milestones"):
            found = connection.scalars(text(f"SELECT DISTINCT taskgroup_id FROM {view}"))
            assert set(found) == {"live", "done", "cut"}
