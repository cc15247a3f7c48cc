"""Real processes from end to end: an upstream, `recorder run`, `recorder serve`, and the SQL views.

Every entry is compared with the responses in the simulator's log, and REST, the command line and SQL with
each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
from click.testing import CliRunner
from sqlalchemy import Engine, text

from recorder.cli.main import recorder as command
from recorder.store.transactions import reading
from tests.end_to_end.oracle import check_history, moment, requests_by_group
from tests.support.forker import Forker
from tests.support.postgres import free_port
from tests.support.program import Program, Running

GROUPS = 24
COUNTS = ("queued", "action_required", "running", "completed", "failed", "cancelling", "cancelled")
OUTAGE = "4-8:503"
GRACE_SECONDS = 1.5
KINDS: list[tuple[int, str, dict[str, str]]] = [
    (5, "lite", {}),
    (30, "base", {}),
    (200, "core", {"x-simulator-outcome": "mixed"}),
    (8, "lite", {"x-simulator-outcome": "failed"}),
    (3, "lite", {"x-simulator-outcome": "blocked"}),
    (0, "lite", {}),
    (12, "pro", {}),
    (4, "base", {"x-simulator-outcome": "cancelled", "x-simulator-seconds": "120"}),
]


@dataclass
class Recording:
    """A finished recording; its API is still running."""

    ids: list[str]
    log: Path
    http: httpx.Client
    program: Program

    def cli(self, *arguments: str) -> Any:
        """Return the output of a command with `--json`, run in this process, which is ten times faster."""
        result = CliRunner().invoke(command, [*arguments, "--json"], env=self.program.environment)
        assert result.exit_code == 0, result.output
        return json.loads(result.output)

    def rest(self, path: str) -> Any:
        return self.http.get(f"/api/v1{path}").raise_for_status().json()


@contextmanager
def recorded(program: Program, database_url: str) -> Iterator[Recording]:
    """Record the groups of a simulated upstream with real processes, through an outage."""
    log, port = program.folder / "requests.ndjson", free_port()
    simulate = ("simulate", "--port", "0", "--seed", "3", "--speed", "20")
    with ExitStack() as stack:
        simulator = stack.enter_context(program.start(*simulate, "--outage", OUTAGE, "--log", str(log)))
        upstream = simulator.wait_for("simulated upstream at").split()[-1]
        program = program.using(
            PARALLEL_API_KEY="a-key",
            PARALLEL_BASE_URL=upstream,
            RECORDER_DATABASE_URL=database_url,
            RECORDER_POLL_INTERVAL="0.5",
            RECORDER_MAX_INTERVAL="3",
            RECORDER_SETTLED_INTERVAL="2",
            RECORDER_GAP_GRACE=str(GRACE_SECONDS),
            RECORDER_RATE="200",
            RECORDER_API_PORT=str(port),
        )
        ids = _create(upstream)
        program.ok("watch", *ids, "--note", "end to end")
        api = stack.enter_context(program.start("serve"))
        recorder = stack.enter_context(program.start("run"))
        http = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30))
        recording = Recording(ids, log, http, program)
        api.wait_until_it_serves(f"http://127.0.0.1:{port}/healthz")
        _wait_for_runs_to_finish(recording, recorder)
        assert recorder.stop() == 0
        yield recording


def _create(upstream: str) -> list[str]:
    groups, ids = f"{upstream}/v1beta/tasks/groups", []
    with httpx.Client(headers={"x-api-key": "a-key"}) as client:
        for number in range(GROUPS):
            runs, processor, headers = KINDS[number % len(KINDS)]
            metadata = {"number": number, "processor": processor, "big": number % 2 == 0}
            created = client.post(groups, json={"metadata": metadata}).raise_for_status()
            ids.append(created.json()["taskgroup_id"])
            if runs:
                added = {"inputs": [{"input": "a question", "processor": processor}] * runs}
                client.post(f"{groups}/{ids[-1]}/runs", json=added, headers=headers).raise_for_status()
    return ids


def _wait_for_runs_to_finish(recording: Recording, recorder: Running) -> None:
    """Wait until all lite and base groups are at rest, and all groups have been seen after their gaps."""

    def is_at_rest(group: dict[str, Any]) -> bool:
        return bool(group["phase"] in {"settled", "blocked", "empty"}) or group["metadata"]["processor"] in {
            "core",
            "pro",
        }

    def finished() -> bool:
        groups = recording.rest("/groups")["items"]
        if not all(group["phase"] and is_at_rest(group) for group in groups):
            return False
        gaps = [recording.rest(f"/groups/{group}/history?kind=gap")["items"] for group in recording.ids]
        return all(items and items[-1]["seq"] is not None for items in gaps)

    recorder.wait_until(lambda: finished() or None, "the runs to finish")


def test_recorded_history_matches_upstream_log(
    database_url: str, engine: Engine, tmp_path: Path, forker: Forker
) -> None:
    with recorded(Program(tmp_path, forker), database_url) as recording:
        requests = requests_by_group(recording.log)
        assert len(recording.ids) == len(requests) == GROUPS
        histories = {taskgroup_id: _history(recording, taskgroup_id) for taskgroup_id in recording.ids}
        for taskgroup_id, items in histories.items():
            check_history(items, requests[taskgroup_id], gap_window=GRACE_SECONDS)
        _check_views(engine, histories)
        _check_groups(recording, engine)
        for taskgroup_id in recording.ids:
            _check_command_line(recording, taskgroup_id)
        assert {group["phase"] for group in recording.rest("/groups")["items"]} > {
            "settled",
            "blocked",
            "empty",
        }


def _history(recording: Recording, taskgroup_id: str) -> list[dict[str, Any]]:
    """Return a group's history, read page by page."""
    items: list[dict[str, Any]] = []
    following = f"/api/v1/groups/{taskgroup_id}/history?limit=7"
    while following:
        page = recording.http.get(following).raise_for_status().json()
        items += page["items"]
        following = page["next"] and urljoin(following, page["next"])
    # Without a recorder, every history ends with an open gap, which has no number.
    return [item for item in items if item["seq"] is not None]


def _check_command_line(recording: Recording, taskgroup_id: str) -> None:
    path = f"/groups/{taskgroup_id}"
    history = recording.cli("history", taskgroup_id, "--kind", "status,watch", "--limit", "1000")
    assert history == recording.rest(f"{path}/history?kind=status,watch&limit=1000")
    assert recording.cli("status", taskgroup_id) == recording.rest(f"{path}/status")


def _check_groups(recording: Recording, engine: Engine) -> None:
    listed = recording.rest("/groups")["items"]
    assert sorted(group["taskgroup_id"] for group in listed) == sorted(recording.ids)
    assert [group["seq"] for group in recording.cli("groups")["items"]] == [group["seq"] for group in listed]
    latest = {row["taskgroup_id"]: row for row in _rows(engine, "latest_status")}
    for group in listed:
        row = latest[group["taskgroup_id"]]
        for name in ("state", "phase", "seq", "polls", "observed_at", "last_seen_at", "due_at"):
            assert row[name] == group[name], name


def _check_views(engine: Engine, histories: dict[str, list[dict[str, Any]]]) -> None:
    rows, gaps = _rows(engine, "status_history"), _rows(engine, "observation_gaps")
    for taskgroup_id, items in sorted(histories.items()):
        for item in items:
            if item["kind"] == "status":
                _check_status_row(rows.pop(0), taskgroup_id, item)
            elif item["kind"] == "gap":
                _check_gap_row(gaps.pop(0), taskgroup_id, item)
    assert rows == gaps == []


def _check_status_row(row: dict[str, Any], taskgroup_id: str, item: dict[str, Any]) -> None:
    assert row["taskgroup_id"] == taskgroup_id
    for name in ("seq", "observed_at", "last_seen_at", "polls", "phase", "created_at", "digest"):
        assert row[name] == item[name], name
    status = item["status"]
    assert bool(row["is_active"]) == status["is_active"]
    for name in ("num_task_runs", "status_message"):
        assert row[name] == status[name]
    for name in COUNTS:
        assert row[name] == status["task_run_status_counts"].get(name)
    assert _same_time(row["modified_at"], status["modified_at"])
    assert (row["metadata"], row["anomalies"]) == (item["metadata"], item["anomalies"])


def _check_gap_row(row: dict[str, Any], taskgroup_id: str, item: dict[str, Any]) -> None:
    gap = item["gap"]
    assert (row["taskgroup_id"], row["seq"]) == (taskgroup_id, item["seq"])
    assert (row["gap_from"], row["gap_to"]) == (gap["from"], gap["to"])
    for name in ("cause", "attempts", "unpolled_seconds", "http_status", "detail"):
        assert row[name] == gap[name], name
    assert row["duration_seconds"] == (moment(gap["to"]) - moment(gap["from"])).total_seconds()


def _rows(engine: Engine, view: str) -> list[dict[str, Any]]:
    """The rows of a view, with times in the format of REST and JSON decoded, on either database."""
    with reading(engine) as connection:
        order = "" if view == "latest_status" else " ORDER BY taskgroup_id, seq"
        rows = connection.execute(text(f"SELECT * FROM {view}{order}")).mappings().all()
    return [{name: _plain(name, value) for name, value in row.items()} for row in rows]


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if name in {"metadata", "anomalies"} and isinstance(value, str):
        return json.loads(value)
    return value


def _same_time(one: str | None, other: str | None) -> bool:
    return one is other is None or (one is not None and other is not None and moment(one) == moment(other))
