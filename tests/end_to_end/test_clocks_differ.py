"""Recorders on machines whose clocks differ, on one PostgreSQL."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from contextlib import ExitStack
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from api.app import create_app
from recorder.clock import utc_now
from recorder.ledger.entries import Kind
from recorder.ledger.timestamps import parse_time
from recorder.simulator import SimulatorSettings
from recorder.store.history import read_entries
from recorder.store.transactions import reading
from tests.end_to_end.faketime import ahead_by
from tests.support.api_client import Client
from tests.support.program import Program, Running
from tests.support.request_log import read_log
from tests.support.simulator import simulating

GROUPS, POLLS = 8, 3
OFFSETS = (0, 600, 40, -600)
INTERVAL = 1.0
PROMPT_SECONDS = 25
"""Less than what any wrong clock, plan or lease would make a group wait."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "requests.ndjson"


def _machine(tmp_path: Path, program: Program, offset: int) -> Program:
    """Return the program on a machine whose clock is `offset` seconds ahead."""
    folder = tmp_path / f"machine{offset}"
    folder.mkdir()
    return Program(folder).using(**program.settings, **ahead_by(offset))


def _asked(log: Path) -> Counter[str]:
    return Counter(line["taskgroup_id"] for line in read_log(log) if line["method"] == "GET")


def _wait_for_polls(log: Path, running: Running, ids: list[str]) -> None:
    before = _asked(log)

    def asked() -> bool | None:
        now = _asked(log)
        return all(now[taskgroup_id] - before[taskgroup_id] >= POLLS for taskgroup_id in ids) or None

    running.wait_until(asked, "every group to be polled")


def _events(running: Running) -> list[str]:
    return [json.loads(line)["event"] for line in running.printed.splitlines()]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_recorders_whose_clocks_differ_share_the_work(
    tmp_path: Path, log: Path, database_url: str, engine: Engine
) -> None:
    quick = {
        "POLL_INTERVAL": str(INTERVAL),
        "MAX_INTERVAL": str(INTERVAL),
        "SETTLED_INTERVAL": str(INTERVAL),
        "GAP_GRACE": "30",
        "LEASE": "300",
    }
    program = Program(tmp_path).using(
        PARALLEL_API_KEY="k",
        RECORDER_DATABASE_URL=database_url,
        RECORDER_LOG_FORMAT="json",
        RECORDER_RATE="500",
        **{f"RECORDER_{name}": text for name, text in quick.items()},
    )
    with ExitStack() as stack:
        url = stack.enter_context(simulating(SimulatorSettings(log_path=log)))
        program = program.using(PARALLEL_BASE_URL=url)
        machines = {offset: _machine(tmp_path, program, offset) for offset in OFFSETS}
        with httpx.Client(base_url=f"{url}/v1beta/tasks", headers={"x-api-key": "k"}) as http:
            ids = [http.post("/groups", json={}).json()["taskgroup_id"] for _ in range(GROUPS)]
        # Enrolled by machines whose clocks differ, too.
        for number, machine in enumerate(machines.values()):
            machine.ok("watch", *ids[number :: len(machines)])
        running = {offset: stack.enter_context(machine.start("run")) for offset, machine in machines.items()}
        for recorder in running.values():
            recorder.wait_for("recording")
        _wait_for_polls(log, running[0], ids)
        recorders = Client(create_app(engine, now=utc_now)).get("/readyz")["recorders"]
        offsets = sorted(recorder["clock_offset_seconds"] for recorder in recorders)
        assert offsets == pytest.approx(sorted(OFFSETS), abs=1)
        assert all(recorder["alive"] and recorder["recording"] for recorder in recorders)
        # The others poll on at once when the fast ones end.
        for offset in (600, 40):
            assert running[offset].stop() == 0
        ended_at = utc_now()
        _wait_for_polls(log, running[0], ids)
        assert running[-600].stop() == 0 and running[0].stop() == 0
    for recorder in running.values():
        events = _events(recorder)
        assert "took over from dead recorders" not in events
        assert not [event for event in events if "too far ahead" in event or "clock was set" in event]
    _check_polls(log, ended_at.timestamp())
    with reading(engine) as connection:
        for taskgroup_id in ids:
            entries = list(read_entries(connection, taskgroup_id))
            assert Kind.GAP not in {entry.kind for entry in entries}
            assert all(abs(entry.at - ended_at) < timedelta(seconds=120) for entry in entries)
            assert all(later.at >= earlier.at for earlier, later in pairwise(entries))


def _check_polls(log: Path, ended_at: float) -> None:
    """Check that each group was polled once an interval by one recorder at a time, and never left waiting."""
    times = defaultdict(list)
    for line in read_log(log):
        if line["method"] == "GET":
            times[line["taskgroup_id"]].append(parse_time(line["at"]).timestamp())
    for asked in times.values():
        waits = [later - earlier for earlier, later in pairwise(asked)]
        assert min(waits) > 0.8 * INTERVAL
        last_before = max(at for at in asked if at < ended_at)
        assert min(at for at in asked if at >= ended_at) - last_before < PROMPT_SECONDS
