"""A scenario with every fault and every alteration, each in its own group, recorded by real processes.

Every entry, gap, cause and anomaly is checked by an oracle that only reads the simulator's request log.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine

from recorder.clock import utc_now
from recorder.queries.groups import require_watch
from recorder.queries.history import HistoryQuery, history_answer
from recorder.queries.json_output import dumps
from recorder.simulator import SimulatorSettings
from recorder.simulator.scenario import SCENE_KINDS, parse_scenario
from recorder.store.transactions import reading
from tests.end_to_end.scenario_oracle import (
    EXPECTED_ANOMALIES,
    FAULTS,
    TIMEOUT_SECONDS,
    ExpectedHistory,
    Request,
    read_requests,
)
from tests.support.forker import Forker
from tests.support.program import Program
from tests.support.simulator import simulating

POLL_SECONDS = 1.0
WINDOW_SECONDS = 2.5
PARAMETERS = {
    "slow": "seconds = 0.3",
    "oversize": "bytes = 100000",
    "oversize_chunked": "bytes = 100000",
    "rate_limit": "retry_after = 1",
    "cached": "age = 60",
    "lagging": "seconds = 4",
}
SCENE_TIMES = {"fault": (4, 11), "alteration": (9, 15), "slow": (0, 1000)}
"""Start and end of each kind of scene, in seconds since the group was created.

Alterations start after a poll has seen finished runs, since counts must rise before they can fall.
"""
KINDS = [what for what in SCENE_KINDS if what not in {"v1_only", "v1beta_only"}]
"""All but those after which polls are made elsewhere."""
PLAYED = [*KINDS, "mixed"]


def _scenario() -> bytes:
    scenes = [_scene(what, what, *SCENE_TIMES[_category(what)]) for what in KINDS]
    scenes += [_scene("mixed", "server_error", 4, 7), _scene("mixed", "garbage", 7, 11)]
    scenes.append(_scene("mixed", "metadata_changes", 0, 3))
    return "\n".join(scenes).encode()


def _category(what: str) -> str:
    return "slow" if what == "slow" else "fault" if what in FAULTS else "alteration"


def _scene(plays: str, what: str, start: float, end: float) -> str:
    times = f'from = {start}\nto = {end}\nsince = "creation"'
    return f'[[scenes]]\nwhat = "{what}"\nlabel.plays = "{plays}"\n{times}\n{PARAMETERS.get(what, "")}\n'


def _create(url: str) -> dict[str, str]:
    """Create a group for each kind of scene; return the kinds by group id."""
    playing = {}
    headers = {"x-api-key": "k", "x-simulator-outcome": "completed"}
    with httpx.Client(base_url=f"{url}/v1beta/tasks", headers=headers, trust_env=False) as http:
        for plays in PLAYED:
            created = http.post("/groups", json={"metadata": {"plays": plays}}).raise_for_status()
            taskgroup_id = created.json()["taskgroup_id"]
            runs = {"inputs": [{"input": "q", "processor": "lite"}] * 40}
            http.post(f"/groups/{taskgroup_id}/runs", json=runs).raise_for_status()
            playing[taskgroup_id] = plays
    return playing


def _history(engine: Engine, taskgroup_id: str) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        page = history_answer(
            connection, require_watch(connection, taskgroup_id).watch, HistoryQuery(limit=1000), utc_now()
        )
    items: list[dict[str, Any]] = json.loads(dumps(page))["items"]
    return [item for item in items if item["seq"] is not None]


def _is_over(requests: list[Request]) -> bool:
    """Whether a group's scene is over and unaltered responses have followed."""
    responses = [request for request in requests if request.text is not None]
    first = requests[0].received_at
    return (responses[-1].received_at - first).total_seconds() > 18 if responses else False


def test_every_fault_and_every_alteration(
    tmp_path: Path, database_url: str, engine: Engine, forker: Forker
) -> None:
    log = tmp_path / "requests.ndjson"
    program = Program(tmp_path, forker).using(
        PARALLEL_API_KEY="k",
        RECORDER_DATABASE_URL=database_url,
        RECORDER_POLL_INTERVAL=str(POLL_SECONDS),
        RECORDER_MAX_INTERVAL=str(POLL_SECONDS * 6),
        RECORDER_SETTLED_INTERVAL=str(POLL_SECONDS * 6),
        RECORDER_GAP_GRACE=str(WINDOW_SECONDS),
        RECORDER_REQUEST_TIMEOUT=str(TIMEOUT_SECONDS),
        RECORDER_LEASE="20",
        RECORDER_RATE="400",
        RECORDER_CONCURRENCY="150",
        RECORDER_MAX_BODY="65536",
    )
    settings = SimulatorSettings(speed=4, log_path=log, scenario=parse_scenario(_scenario()))
    with simulating(settings) as url:
        configured = program.using(PARALLEL_BASE_URL=url)
        with configured.start("run") as running:
            running.wait_for("recording")
            playing = _create(url)
            configured.ok("watch", *playing)

            def all_scenes_over() -> bool | None:
                requests = read_requests(log)
                return (requests.keys() == playing.keys() and all(map(_is_over, requests.values()))) or None

            running.wait_until(all_scenes_over, "every scene to be over")
            assert running.stop() == 0
    requests = read_requests(log)
    anomalies: dict[str, set[str]] = {}
    gaps = {}
    for taskgroup_id, plays in playing.items():
        items = _history(engine, taskgroup_id)
        ExpectedHistory(items, POLL_SECONDS, WINDOW_SECONDS, anomalies).check(requests[taskgroup_id])
        gaps[plays] = [item["gap"]["cause"] for item in items if item["kind"] == "gap"]
    assert {plays for plays in FAULTS if FAULTS[plays][0] not in gaps[plays]} == set()
    assert {
        what for what in EXPECTED_ANOMALIES if not EXPECTED_ANOMALIES[what] <= anomalies.get(what, set())
    } == set()
