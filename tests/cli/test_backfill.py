"""`recorder backfill` and `recorder runs`, against the simulated provider."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from tests.support.databases import ON_SQLITE
from tests.support.program import KEY, Program
from tests.support.recording import Recording, active, after
from tests.support.run_claims import backfill, said
from tests.support.scripted_upstream import Upstream


def _add(upstream: Upstream, taskgroup_id: str, *processors: str, seconds: int = 0) -> None:
    """Add runs that end after so many seconds."""
    headers = {"x-api-key": KEY, "x-simulator-seconds": str(seconds), "x-simulator-outcome": "completed"}
    inputs = [{"input": "who?", "processor": processor} for processor in processors]
    path = f"{upstream.url}/v1beta/tasks/groups/{taskgroup_id}/runs"
    httpx.post(path, json={"inputs": inputs}, headers=headers, trust_env=False).raise_for_status()


def _actions(program: Program, taskgroup_id: str) -> list[tuple[str, str]]:
    page = json.loads(program.ok("history", "--json", "--kind", "watch", taskgroup_id))
    return [(entry["watch"]["action"], entry["watch"]["actor"]) for entry in page["items"]]


def _runs(program: Program, taskgroup_id: str) -> Any:
    return json.loads(program.run("runs", taskgroup_id, "--json").out)


def test_a_group_that_nobody_watched(program: Program, upstream: Upstream) -> None:
    using = program.using(**upstream.settings, RECORDER_ACTOR="ann")
    group = upstream.create()
    _add(upstream, group, "core", "core", "lite")
    _add(upstream, group, "pro", seconds=3600)
    printed = using.ok("backfill", group)
    assert f"{group}: 4 runs (3 completed, 1 running) by the provider's own account of" in printed
    assert "entry 2 has its digest" in printed
    assert _actions(using, group) == [("started", "ann"), ("noted", "recorder"), ("stopped", "ann")]
    body = _runs(using, group)
    assert (body["source"], body["snapshot"]["runs"]) == ("provider", 4)
    assert [(item["processor"], item["finished"]) for item in body["processors"]] == [
        *(("core", 2), ("lite", 1), ("pro", 0)),
    ]
    assert [one["claimed_at"] is not None for one in body["milestones"]] == [True, False, False, False, False]
    assert body["findings"] == []
    words = using.ok("runs", group, "--said")
    assert hashlib.sha256(words.encode()).hexdigest() == body["snapshot"]["digest"]
    assert "intact" in using.ok("verify")
    shown = using.ok("runs", group)
    assert shown == printed.removeprefix(f"{group}: ")


def test_a_watched_group_is_held_against_what_was_seen(program: Program, upstream: Upstream) -> None:
    using = program.using(**upstream.settings)
    group = upstream.create()
    using.ok("watch", group)
    _add(upstream, group, "core", "core")
    assert using.run("run", "--once").status == 0
    assert using.run("backfill", group).status == 0
    assert _runs(using, group)["findings"] == []


def test_a_claim_outside_our_bounds_is_a_finding(
    program: Program, upstream: Upstream, recording: Recording
) -> None:
    using = program.using(**upstream.settings)
    group = upstream.create()
    _add(upstream, group, "core")
    recording.watch(group)
    # Long before the runs of this provider were made.
    recording.see(group, 1, active(running=1, completed=1))
    result = using.run("backfill", group)
    assert result.status == 1
    assert "finding: the snapshot lacks 1 run that the group had" in result.out
    assert [finding["problem"] for finding in _runs(using, group)["findings"]] == ["runs_missing"]
    _add(upstream, group, "core")
    result = using.run("backfill", group)
    assert result.status == 1
    assert "finding: entry 2: 1 run had finished that the provider says finished later, by " in result.out
    assert using.run("runs", group, "--json").status == 1


@ON_SQLITE
def test_what_goes_wrong_is_one_line_and_keeps_nothing(program: Program, upstream: Upstream) -> None:
    using = program.using(**upstream.settings)
    assert using.run("backfill", "tgrp_none").complaint() == (
        "Error: tgrp_none: nothing was kept: not_found: 404 Not Found: Task group not found"
    )
    assert "was ever watched" in using.run("runs", "tgrp_none").complaint()
    group = upstream.create()
    wrong = using.using(PARALLEL_API_KEY="wrong")
    assert "nothing was kept: unauthorized: 401" in wrong.run("backfill", group).complaint()
    away = using.using(PARALLEL_BASE_URL="http://127.0.0.1:9")
    assert "nothing was kept: unreachable: connection refused" in away.run("backfill", group).complaint()
    assert (
        "PARALLEL_API_KEY is not set" in using.using(PARALLEL_API_KEY="").run("backfill", group).wrong_usage()
    )
    using.ok("watch", group)
    assert "no snapshot; take one with: recorder backfill" in using.run("runs", group).complaint()


@ON_SQLITE
def test_several_groups_and_one_that_is_unknown(program: Program, upstream: Upstream) -> None:
    using = program.using(**upstream.settings)
    groups = [upstream.create(), upstream.create()]
    result = using.run("backfill", groups[0], "tgrp_none", groups[1], groups[0])
    assert (result.status, len(result.complaints)) == (1, 1)
    assert [line.partition(":")[0] for line in result.out.splitlines()] == groups
    assert "0 runs by the provider's own account" in result.out


@ON_SQLITE
def test_texts_of_the_provider_are_escaped(program: Program, engine: Engine) -> None:
    backfill(engine, "tgrp_1", [said(1, "[red]\x1b[31m", processor="[b]\x07")], after(20))
    printed = program.ok("runs", "tgrp_1")
    assert "[red]" in printed and "[b]" in printed
    assert "\x1b" not in printed and "\x07" not in printed


@pytest.mark.parametrize("arguments", [("--said", "--json")])
@ON_SQLITE
def test_wrong_usage(program: Program, arguments: tuple[str, ...]) -> None:
    assert "exclude each other" in program.run("runs", "tgrp_1", *arguments).wrong_usage()


def test_it_may_be_the_first_command(blank: Program, upstream: Upstream) -> None:
    using = blank.using(**upstream.settings)
    result = using.run("backfill", upstream.create())
    assert (result.status, len(result.complaints)) == (0, 1)
    assert result.complaints[0].startswith("created the tables in ")
