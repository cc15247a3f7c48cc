"""`recorder doctor`: a line for each check, and what to do about each problem."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from recorder.cli.doctor.database import check_missing, check_recording
from recorder.cli.doctor.upstream import MADE_UP_ID, Asked, check_address, check_answer, check_clock
from recorder.ledger.missing_groups import MissingGroups
from recorder.ledger.poll_outcome import Cause, Failure
from recorder.ledger.watch import WatchState
from recorder.simulator import SimulatorSettings
from recorder.simulator.scenes import Scene
from recorder.store.groups import GroupCounts
from recorder.store.heartbeats import Heartbeat
from recorder.upstream.interpret import Exchange, ReceivedResponse
from tests.support.program import KEY, Program
from tests.support.recording import after
from tests.support.request_log import read_log
from tests.support.scripted_upstream import Upstream
from tests.support.simulator import simulating


def lines(program: Program) -> tuple[int, dict[str, list[str]]]:
    """The exit status, and the subject of each problem with what was said about it."""
    result = program.run("doctor")
    assert result.err == ""
    words = [line.split(maxsplit=2) for line in result.out.splitlines()]
    assert {state for state, *_ in words} <= {"ok", "problem"}
    return result.status, {subject: text.split() for state, subject, text in words if state == "problem"}


def test_a_recorder_in_order_has_no_problem(program: Program, upstream: Upstream) -> None:
    ready = program.using(**upstream.settings)
    ready.ok("watch", upstream.create(runs=1))
    assert ready.run("run", "--once").status == 0
    before = len(read_log(upstream._log))
    assert lines(ready) == (0, {})
    assert len(read_log(upstream._log)) == before + 1


def test_every_problem_is_a_line(program: Program, upstream: Upstream) -> None:
    wrong = {"PARALLEL_BASE_URL": f"{upstream.url}/v1beta", "RECORDER_RATES": "5"}
    status, problems = lines(program.using(**wrong))
    assert (status, set(problems)) == (1, {"settings", "recorders", "address"})
    assert problems["settings"][0] == "RECORDER_RATES" and problems["settings"][-1] == "RECORDER_RATE?"


def test_a_rejected_key_is_told_without_the_key(program: Program, upstream: Upstream) -> None:
    status, problems = lines(program.using(**upstream.settings, PARALLEL_API_KEY="another-key-7f3a"))
    assert status == 1 and "PARALLEL_API_KEY" in problems["key"]
    assert "another-key-7f3a" not in program.run("doctor").out


def test_without_settings_it_says_what_is_missing(bare: Program) -> None:
    status, problems = lines(bare)
    assert (status, set(problems)) == (1, {"database", "key"})
    assert "upgrade" in problems["database"]


def test_values_that_are_not_allowed_are_all_named(bare: Program) -> None:
    result = bare.using(RECORDER_RATE="many", RECORDER_API_PORT="x").run("doctor")
    assert result.status == 1
    assert [line.split()[:3] for line in result.out.splitlines()] == [
        ["problem", "settings", "RECORDER_RATE:"],
        ["problem", "settings", "RECORDER_API_PORT:"],
    ]


def test_misspelt_names_are_told_at_the_start(program: Program) -> None:
    result = program.using(RECORDER_RATES="5").run("run", "--once")
    assert any(
        "RECORDER_RATES" in line and "did you mean RECORDER_RATE?" in line for line in result.complaints
    )


ADDRESSES = [
    ("https://api.example.com", "/v1beta", None),
    ("https://api.example.com/v1beta", "/v1beta", "remove /v1beta from PARALLEL_BASE_URL"),
    ("https://api.example.com/v1beta", "", None),
    ("https://api.example.com/v1", "/v1beta", "and set RECORDER_UPSTREAM_PREFIX to /v1"),
    ("https://proxy.example.com/api/v1", "/v1", "remove /v1 from PARALLEL_BASE_URL"),
    ("https://proxy.example.com/rev1", "/v1", None),
]


@pytest.mark.parametrize(("base_url", "prefix", "problem"), ADDRESSES)
def test_a_version_in_both_address_and_prefix(base_url: str, prefix: str, problem: str | None) -> None:
    check = check_address(base_url, prefix)
    assert check.fine is (problem is None)
    assert check.text.endswith(problem or "/tasks/groups/ID")


SEEN, UNSEEN = Asked("tgrp_1", seen_before=True), Asked(MADE_UP_ID, seen_before=False)
ANSWERS = [
    (Cause.UNAUTHORIZED, UNSEEN, False, "PARALLEL_API_KEY"),
    (Cause.NOT_FOUND, UNSEEN, True, "it answers"),
    (Cause.CLIENT_ERROR, UNSEEN, True, "it answers"),
    (Cause.NOT_FOUND, SEEN, False, "RECORDER_UPSTREAM_PREFIX"),
    (Cause.UNREACHABLE, SEEN, False, "PARALLEL_BASE_URL"),
    (Cause.TIMEOUT, UNSEEN, False, "the network"),
    (Cause.SERVER_ERROR, SEEN, False, "ask again later"),
    (Cause.RATE_LIMITED, UNSEEN, False, "ask again later"),
    (Cause.MALFORMED, SEEN, False, "ask again later"),
]


@pytest.mark.parametrize(("cause", "asked", "fine", "words"), ANSWERS)
def test_what_an_answer_says(cause: Cause, asked: Asked, fine: bool, words: str) -> None:
    check = check_answer(Failure(after(0), after(1), cause, None, "detail", None), asked)
    assert (check.fine, words in check.text) == (fine, True)


CLOCKS = [(0, None), (-6, None), (5, None), (90, "90 s behind"), (-91, "90 s ahead of")]


@pytest.mark.parametrize(("seconds", "words"), CLOCKS)
def test_the_clock_is_compared_with_the_providers(seconds: int, words: str | None) -> None:
    headers = {"date": format_datetime(after(seconds), usegmt=True)}
    (check,) = check_clock(exchange(headers))
    assert check.fine is (words is None)
    assert words is None or words in check.text


@pytest.mark.parametrize("headers", [{}, {"date": "soon"}, {"date": "", "age": "3"}])
def test_an_answer_that_does_not_tell_the_time(headers: dict[str, str]) -> None:
    assert list(check_clock(exchange(headers))) == []


def exchange(headers: dict[str, str]) -> Exchange:
    return Exchange(after(0), after(0), ReceivedResponse(200, "OK", headers), None)


BEAT = Heartbeat("one", "host", 7, after(0), after(0), {}, {})
RECORDING = [
    ([BEAT], 1, 0, 0.0, set()),
    ([], 1, 0, 0.0, set()),
    ([], 0, 0, 0.0, {"recorders"}),
    ([], 1, 0, 60.0, {"recorders", "groups"}),
    ([BEAT], 1, 2, 0.0, {"groups"}),
]


@pytest.mark.parametrize(("recorders", "watched", "open_gaps", "late_seconds", "problems"), RECORDING)
def test_who_records_and_what_is_late(
    recorders: list[Heartbeat], watched: int, open_gaps: int, late_seconds: float, problems: set[str]
) -> None:
    counts = GroupCounts({}, {WatchState.WATCHING: watched}, open_gaps, 0, late_seconds, 0)
    found = check_recording(recorders, counts, after(0) + timedelta(seconds=1))
    assert {check.subject for check in found if not check.fine} == problems


def test_a_provider_that_moved_is_told_and_followed(bare: Program, tmp_path: Path, database_url: str) -> None:
    log = tmp_path / "moved.log"
    moved = SimulatorSettings(api_key=KEY, log_path=log, scenario=(Scene(1, "v1_only"),))
    with simulating(moved) as url, Upstream(url, log) as provider:
        program = bare.using(PARALLEL_API_KEY=KEY, RECORDER_DATABASE_URL=database_url, **provider.settings)
        ids = [provider.create(runs=1) for _ in range(2)]
        program.ok("watch", *ids)
        assert program.using(RECORDER_UPSTREAM_PREFIX="/v1").run("run", "--once").status == 0
        for command in ("pause", "resume"):
            program.ok(command, *ids)
        result = program.run("run", "--once")
        status, problems = lines(program)
    assert result.status == 0 and "2 polled, 0 failed" in result.out
    assert any("found under another prefix" in line for line in result.complaints)
    assert (status, list(problems)) == (1, ["prefix"])
    assert problems["prefix"][-3:] == ["RECORDER_UPSTREAM_PREFIX", "to", "/v1"]


def test_groups_that_are_missing_together_are_told() -> None:
    assert list(check_missing(MissingGroups(1, 0, after(0)))) == []
    (check,) = check_missing(MissingGroups(6, 5, after(0)))
    assert not check.fine
    assert "6 groups" in check.text and "5 others" in check.text and "none becomes gone" in check.text
