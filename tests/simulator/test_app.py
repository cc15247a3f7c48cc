"""The simulator over real sockets: groups, runs, keys, errors, outages and the request log."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from recorder.ledger.timestamps import parse_time
from recorder.simulator import Fault, Outage, SimulatorSettings
from tests.support.program import wait_until
from tests.support.simulator import Connect, ManualClock, Start, simulating

RUN = {"input": "who?", "processor": "lite"}


def create(client: httpx.Client, prefix: str = "/v1beta", **body: object) -> str:
    response = client.post(f"{prefix}/tasks/groups", json=body)
    assert response.status_code == 200
    return str(response.json()["taskgroup_id"])


def add(client: httpx.Client, group: str, runs: int = 1, **headers: str) -> dict[str, Any]:
    converted = {name.replace("_", "-"): value for name, value in headers.items()}
    path = f"/v1beta/tasks/groups/{group}/runs"
    response = client.post(path, json={"inputs": [RUN] * runs}, headers=converted)
    assert response.status_code == 200
    return dict(response.json())


def retrieve(client: httpx.Client, group: str, prefix: str = "/v1beta") -> httpx.Response:
    return client.get(f"{prefix}/tasks/groups/{group}")


def logged(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def wait_for_line(log: Path) -> None:
    wait_until(lambda: logged(log) or None, "the request to arrive")


@pytest.mark.parametrize("prefix", ["/v1", "/v1beta"])
def test_a_group_is_created_and_retrieved(client: httpx.Client, prefix: str) -> None:
    created = client.post(
        f"{prefix}/tasks/groups", json={"metadata": {"who": "Zoë", "n": 3, "x": 0.5, "ok": True}}
    )
    body = created.json()
    assert body["metadata"] == {"who": "Zoë", "n": 3, "x": 0.5, "ok": True}
    assert body["taskgroup_id"].startswith("tgrp_")
    assert body["created_at"] == "2026-11-24T12:16:00.000000Z"
    assert retrieve(client, body["taskgroup_id"], prefix).text == created.text
    assert created.headers["content-type"] == "application/json"


def test_both_prefixes_know_the_same_groups(client: httpx.Client) -> None:
    group = create(client, "/v1")
    assert retrieve(client, group, "/v1").json() == retrieve(client, group, "/v1beta").json()


def test_controlled_runs_end_as_requested_at_the_simulated_speed(
    start: Start, connect: Connect, clock: ManualClock
) -> None:
    client = connect(start(clock, speed=10))
    group = create(client)
    for outcome in ("completed", "failed", "cancelled", "blocked"):
        add(client, group, 2, x_simulator_outcome=outcome, x_simulator_seconds="60")
    clock.advance(5.9)
    active = retrieve(client, group).json()["status"]
    assert active["task_run_status_counts"] == {"running": 6, "cancelling": 2}
    assert active["is_active"] is True
    clock.advance(0.1)
    ended = retrieve(client, group).json()["status"]
    assert ended["task_run_status_counts"] == {
        "action_required": 2,
        "completed": 2,
        "failed": 2,
        "cancelled": 2,
    }
    assert ended["is_active"] is False
    assert ended["modified_at"] == "2026-11-24T12:16:06.000000Z"


def test_uncontrolled_runs_start_queued_and_finish(client: httpx.Client, clock: ManualClock) -> None:
    group = create(client)
    response = add(client, group, 1000, x_simulator_outcome="mixed")
    assert len(set(response["run_ids"])) == 1000
    assert response["status"]["task_run_status_counts"] == {"queued": 1000}
    clock.advance(68)
    counts = retrieve(client, group).json()["status"]["task_run_status_counts"]
    assert sum(counts.values()) == 1000
    assert set(counts) == {"completed", "failed", "cancelled"}


def test_cursors_are_null_for_the_first_runs_only(client: httpx.Client) -> None:
    group = create(client)
    first, second = add(client, group), add(client, group)
    assert (first["event_cursor"], first["run_cursor"]) == (None, None)
    assert second["event_cursor"]
    assert second["run_cursor"]


def test_the_same_seed_gives_the_same_responses(connect: Connect, clock: ManualClock) -> None:
    run_ids = []
    for _ in range(2):
        with simulating(SimulatorSettings(seed=9), clock) as url:
            client = connect(url)
            run_ids.append(add(client, create(client), 20)["run_ids"])
    assert run_ids[0] == run_ids[1]


@pytest.mark.parametrize("headers", [{}, {"x-api-key": ""}, {"x-api-key": "wrong"}])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_without_the_right_key_is_rejected(
    start: Start, headers: dict[str, str], method: str
) -> None:
    url = start(api_key="right")
    path = "/v1/tasks/groups" if method == "POST" else "/v1/tasks/groups/tgrp_x"
    response = httpx.request(method, url + path, headers=headers, json={}, trust_env=False)
    assert response.status_code == 401
    assert response.json()["type"] == "error"


def test_any_key_is_accepted_unless_one_is_set(start: Start) -> None:
    response = httpx.post(
        start() + "/v1/tasks/groups", headers={"x-api-key": "any"}, json={}, trust_env=False
    )
    assert response.status_code == 200


@pytest.mark.parametrize("group", ["tgrp_unknown", "%C3%BC%20", "a%2Fb"])
def test_an_unknown_group_is_not_found(client: httpx.Client, group: str) -> None:
    for response in (
        retrieve(client, group),
        client.post(f"/v1/tasks/groups/{group}/runs", json={"inputs": [RUN]}),
    ):
        assert response.status_code == 404
        assert response.json()["type"] == "error"
        assert set(response.json()["error"]) == {"ref_id", "message", "detail"}


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        (b"", ["body"]),
        (b"{", ["body"]),
        (b"[]", ["body"]),
        (b"{}", ["body", "inputs"]),
        (b'{"inputs": []}', ["body", "inputs"]),
        (json.dumps({"inputs": [RUN] * 1001}).encode(), ["body", "inputs"]),
        (b'{"inputs": [{"input": "x"}]}', ["body", "inputs", 0, "processor"]),
        (b'{"inputs": [{"input": "x", "processor": "huge"}]}', ["body", "inputs", 0, "processor"]),
        (b'{"inputs": [{"processor": "lite"}]}', ["body", "inputs", 0, "input"]),
    ],
)
def test_invalid_runs_are_rejected(client: httpx.Client, body: bytes, loc: list[object]) -> None:
    group = create(client)
    response = client.post(f"/v1beta/tasks/groups/{group}/runs", content=body)
    assert response.status_code == 422
    problem = response.json()["detail"][0]
    assert problem["loc"] == loc
    assert set(problem) == {"loc", "msg", "type"}
    assert retrieve(client, group).json()["status"]["num_task_runs"] == 0


@pytest.mark.parametrize("value", [None, [], {}, float("nan")])
def test_metadata_of_an_invalid_type_is_rejected(client: httpx.Client, value: object) -> None:
    body = json.dumps({"metadata": {"key": value}})
    response = client.post("/v1beta/tasks/groups", content=body)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"][:3] == ["body", "metadata", "key"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-simulator-outcome", "lost"),
        ("x-simulator-outcome", ""),
        ("x-simulator-seconds", "-1"),
        ("x-simulator-seconds", "nan"),
        ("x-simulator-seconds", "inf"),
        ("x-simulator-seconds", "soon"),
    ],
)
def test_invalid_headers_are_rejected(client: httpx.Client, name: str, value: str) -> None:
    path = f"/v1beta/tasks/groups/{create(client)}/runs"
    response = client.post(path, json={"inputs": [RUN]}, headers={name: value})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["header", name]


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/", 404, None),
        ("GET", "/v2/tasks/groups/x", 404, None),
        ("GET", "/v1/tasks/groups", 405, "POST"),
        ("DELETE", "/v1/tasks/groups/x", 405, "GET"),
        ("HEAD", "/v1/tasks/groups/x", 405, "GET"),
        ("PUT", "/v1/tasks/groups/x/runs", 405, "GET,POST"),
    ],
)
def test_unknown_paths_and_methods_get_a_json_error(
    client: httpx.Client, method: str, path: str, status: int, allow: str | None
) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert response.headers.get("allow") == allow
    assert response.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault.REFUSE, 503),
        (Fault.SERVER_ERROR, 500),
        (Fault.RATE_LIMIT, 429),
        (Fault.UNAUTHORIZED, 401),
        (Fault.NOT_FOUND, 404),
    ],
)
def test_an_outage_only_affects_retrievals_and_only_while_it_lasts(
    start: Start, connect: Connect, clock: ManualClock, fault: Fault, status: int
) -> None:
    client = connect(start(clock, outages=(Outage(20, 26, fault),)))
    statuses = []
    for seconds in (0, 20, 5.9, 0.1):
        clock.advance(seconds)
        group = create(client)
        response = retrieve(client, group)
        statuses.append(response.status_code)
        assert response.headers["content-type"].startswith("application/json")
    assert statuses == [200, status, status, 200]


def test_a_rate_limit_has_a_retry_after(start: Start, connect: Connect, clock: ManualClock) -> None:
    client = connect(start(clock, outages=(Outage(0, 6.5, Fault.RATE_LIMIT),)))
    clock.advance(4)
    assert retrieve(client, "tgrp_x").headers["retry-after"] == "3"


def test_a_bad_gateway_responds_with_html(start: Start, connect: Connect, clock: ManualClock) -> None:
    response = retrieve(connect(start(clock, outages=(Outage(0, 1, Fault.BAD_GATEWAY),))), "tgrp_x")
    assert response.status_code == 502
    assert response.headers["content-type"].startswith("text/html")


def test_a_closed_connection_has_no_response(
    start: Start, connect: Connect, clock: ManualClock, tmp_path: Path
) -> None:
    log = tmp_path / "requests.ndjson"
    client = connect(start(clock, outages=(Outage(0, 1, Fault.CLOSE),), log_path=log))
    group = create(client)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        retrieve(client, group)
    line = logged(log)[-1]
    assert (line["fault"], line["status"], line["body"], line["answered_at"]) == ("close", None, None, None)
    clock.advance(1)
    assert retrieve(client, group).status_code == 200


def test_a_hanging_request_never_gets_a_response(
    start: Start, connect: Connect, clock: ManualClock, tmp_path: Path
) -> None:
    log = tmp_path / "requests.ndjson"
    client = connect(start(clock, outages=(Outage(0, 1, Fault.HANG),), log_path=log))
    with pytest.raises(httpx.ReadTimeout):
        client.get("/v1/tasks/groups/tgrp_x", timeout=0.2)
    assert [(line["fault"], line["status"]) for line in logged(log)] == [("hang", None)]


def test_stopping_ends_hanging_requests(clock: ManualClock, tmp_path: Path) -> None:
    log = tmp_path / "requests.ndjson"
    settings = SimulatorSettings(outages=(Outage(0, 1, Fault.HANG),), log_path=log)
    with simulating(settings, clock) as url:
        host, port = url.removeprefix("http://").split(":")
        hanging = socket.create_connection((host, int(port)))
        hanging.sendall(b"GET /v1/tasks/groups/tgrp_x HTTP/1.1\r\nHost: simulator\r\n\r\n")
        wait_for_line(log)
    with hanging:
        assert hanging.recv(1024) == b""


def test_the_log_has_exactly_what_was_sent(
    start: Start, connect: Connect, clock: ManualClock, tmp_path: Path
) -> None:
    log = tmp_path / "requests.ndjson"
    client = connect(start(clock, log_path=log))
    responses = [client.post("/v1beta/tasks/groups", json={"metadata": {"who": "Zoë"}})]
    group = responses[0].json()["taskgroup_id"]
    clock.advance(1.5)
    responses.append(client.post(f"/v1beta/tasks/groups/{group}/runs", json={"inputs": []}))
    responses.append(retrieve(client, group, "/v1"))
    responses.append(retrieve(client, "%20"))
    responses.append(client.get("/nothing?here"))
    lines = logged(log)
    assert [line["body"] for line in lines] == [response.text for response in responses]
    assert [line["status"] for line in lines] == [200, 422, 200, 404, 404]
    assert [line["taskgroup_id"] for line in lines] == [None, group, group, " ", None]
    assert [line["path"] for line in lines[3:]] == ["/v1beta/tasks/groups/%20", "/nothing?here"]
    assert lines[2] == {
        "at": "2026-11-24T12:16:01.500000Z",
        "answered_at": "2026-11-24T12:16:01.500000Z",
        "method": "GET",
        "path": f"/v1/tasks/groups/{group}",
        "taskgroup_id": group,
        "status": 200,
        "body": responses[2].text,
        "fault": None,
        "scenes": [],
    }


def test_an_existing_log_is_appended_to(connect: Connect, tmp_path: Path) -> None:
    log = tmp_path / "requests.ndjson"
    for _ in range(2):
        with simulating(SimulatorSettings(log_path=log)) as url:
            create(connect(url))
    assert len(logged(log)) == 2


def test_times_come_from_the_wall_clock(start: Start, connect: Connect) -> None:
    client = connect(start(speed=1000))
    before = datetime.now(UTC)
    created = parse_time(client.post("/v1/tasks/groups", json={}).json()["created_at"])
    assert abs((created - before).total_seconds()) < 60


def test_a_port_in_use_is_an_error(start: Start) -> None:
    port = int(start().rsplit(":", 1)[1])
    with pytest.raises(OSError, match="in use"), simulating(SimulatorSettings(port=port)):
        raise AssertionError("it started")


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    log = tmp_path / "missing" / "requests.ndjson"
    with pytest.raises(FileNotFoundError), simulating(SimulatorSettings(log_path=log)):
        raise AssertionError("it started")
