"""`recorder run --once` each minute, as from cron: with the default settings and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recorder.simulator import SimulatorSettings
from tests.end_to_end.faketime import FakeTime
from tests.support.program import KEY, Program
from tests.support.scripted_upstream import Upstream
from tests.support.simulator import simulating

MINUTE = 60


@pytest.fixture
def bare(tmp_path: Path) -> Program:
    return Program(tmp_path).using(PARALLEL_API_KEY=KEY)


@pytest.fixture
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    log = tmp_path_factory.mktemp("upstream") / "requests.log"
    with simulating(SimulatorSettings(api_key=KEY, log_path=log)) as url, Upstream(url, log) as upstream:
        yield upstream


def _kinds(program: Program, taskgroup_id: str) -> list[str]:
    items: list[dict[str, Any]] = json.loads(program.ok("history", taskgroup_id, "--json"))["items"]
    return [item["kind"] for item in items]


def _runs(program: Program, clock: FakeTime, *arguments: str, minutes: int, every: int) -> None:
    for minute in range(0, minutes, every):
        clock.set_offset(minute * MINUTE)
        result = program.run("run", "--once", *arguments)
        assert result.status == 0, result


def test_runs_each_minute_leave_no_gap(bare: Program, upstream: Upstream, tmp_path: Path) -> None:
    clock = FakeTime(tmp_path)
    program = bare.using(**upstream.settings, **clock.settings)
    empty, settled = upstream.create(), upstream.create(runs=1)
    program.run("watch", empty, settled)
    _runs(program, clock, minutes=6, every=1)
    for taskgroup_id in (empty, settled):
        assert "gap" not in _kinds(program, taskgroup_id)
        assert len(_kinds(program, taskgroup_id)) <= 4
    coverage = json.loads(program.ok("gaps", empty, "--json"))["coverage"]
    assert coverage["fraction"] == 1


def test_the_rhythm_can_be_given(bare: Program, upstream: Upstream, tmp_path: Path) -> None:
    clock = FakeTime(tmp_path)
    program = bare.using(**upstream.settings, **clock.settings)
    group = upstream.create()
    program.run("watch", group)
    _runs(program, clock, "--every", "600", minutes=30, every=10)
    assert _kinds(program, group) == ["watch", "status"]
