"""`recorder doctor`: a line for each check, and what to do about each problem."""

from __future__ import annotations

from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from recorder.cli.doctor.database import check_missing, check_not_found, check_recording
from recorder.cli.doctor.upstream import MADE_UP_ID, Asked, check_address, check_answer, check_clock
from recorder.ledger.missing_groups import MissingGroups
from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.response_body import parse_body
from recorder.ledger.timestamps import format_time
from recorder.ledger.watch import WatchState
from recorder.simulator import SimulatorSettings
from recorder.simulator.scenes import Scene
from recorder.store.demo_mark import DEMO_ACTOR
from recorder.store.enrolment import watch_group
from recorder.store.group_counts import GroupCounts
from recorder.store.heartbeats import Heartbeat
from recorder.store.missing import NotFoundGroups
from recorder.upstream.interpret import Exchange, ReceivedResponse
from tests.support.program import KEY, Program
from tests.support.recording import RULES, after
from tests.support.request_log import read_log
from tests.support.scripted_upstream import Upstream
from tests.support.simulator import simulating

SELDOM = {"RECORDER_POLL_INTERVAL": "900", "RECORDER_MAX_INTERVAL": "900", "RECORDER_SETTLED_INTERVAL": "900"}
"""No group is late before the doctor looks, however long that takes."""


def lines(program: Program) -> tuple[int, dict[str, list[str]]]:
    """The exit status, and the subject of each problem with what was said about it."""
    result = program.run("doctor")
    assert result.err == ""
    words = [line.split(maxsplit=2) for line in result.out.splitlines()]
    assert {state for state, *_ in words} <= {"ok", "problem"}
    return result.status, {subject: text.split() for state, subject, text in words if state == "problem"}


def test_a_recorder_in_order_has_no_problem(program: Program, upstream: Upstream) -> None:
    ready = program.using(**upstream.settings, **SELDOM)
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


def test_the_provider_is_not_asked_for_the_groups_of_a_demo(program: Program, engine: Engine) -> None:
    watch_group(engine, "tgrp_1", actor=DEMO_ACTOR, note=None, now=lambda: after(0), rules=RULES)
    unreachable = program.using(PARALLEL_BASE_URL="http://no-such-host.invalid")
    status, problems = lines(unreachable)
    assert (status, set(problems)) == (1, {"database", "provider"})
    assert {"made", "recorder", "demo:"} <= set(problems["database"])


def test_a_rejected_key_is_told_without_the_key(program: Program, upstream: Upstream) -> None:
    status, problems = lines(program.using(**upstream.settings, PARALLEL_API_KEY="another-key-7f3a"))
    assert status == 1 and "PARALLEL_API_KEY" in problems["key"]
    assert "another-key-7f3a" not in program.run("doctor").out


def test_without_settings_it_says_what_is_missing(bare: Program) -> None:
    status, problems = lines(bare)
    assert (status, set(problems)) == (1, {"database", "key"})
    assert "upgrade" in problems["database"]


def test_values_that_are_not_allowed_and_misspelt_names_are_all_told(bare: Program) -> None:
    result = bare.using(RECORDER_RATE="many", RECORDER_API_PORT="x", RECORDER_RATES="5").run("doctor")
    assert result.status == 1
    assert [line.split()[:3] for line in result.out.splitlines()] == [
        ["problem", "settings", "RECORDER_RATES"],
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
    (
        "https://api.example.com/v1beta/tasks/groups",
        "/v1beta",
        "remove /v1beta/tasks/groups from PARALLEL_BASE_URL",
    ),
    ("https://api.example.com/v1/tasks", "/v1beta", "and set RECORDER_UPSTREAM_PREFIX to /v1"),
    ("https://api.example.com/tasks/groups", "/v1", "remove /tasks/groups from PARALLEL_BASE_URL"),
    ("https://proxy.example.com/tasks", "/v1", None),
]


@pytest.mark.parametrize(("base_url", "prefix", "problem"), ADDRESSES)
def test_a_version_in_both_address_and_prefix(base_url: str, prefix: str, problem: str | None) -> None:
    check = check_address(base_url, prefix)
    assert check.fine is (problem is None)
    assert check.text.endswith(problem or "/tasks/groups/ID")


SEEN, UNSEEN = Asked("tgrp_1", seen_before=True), Asked(MADE_UP_ID, seen_before=False)
ERROR = b'{"type": "error", "error": {"ref_id": "1", "message": "no"}}'
PAGE = b"<html><title>404 Not Found</title></html>"
NO_PATH = b'{"detail": "Not Found"}'
NOT_THE_API = "is not the provider's API, or does not have this path (detail); check PARALLEL_BASE_URL"
ANSWERS = [
    (Cause.UNAUTHORIZED, 401, ERROR, UNSEEN, "PARALLEL_API_KEY"),
    (Cause.UNAUTHORIZED, 403, PAGE, UNSEEN, "what answers rejects it, but not in the provider's words"),
    (Cause.NOT_FOUND, 404, ERROR, UNSEEN, None),
    (Cause.NOT_FOUND, 404, NO_PATH, UNSEEN, NOT_THE_API),
    (Cause.NOT_FOUND, 404, NO_PATH, SEEN, NOT_THE_API),
    (Cause.NOT_FOUND, 404, PAGE, UNSEEN, NOT_THE_API),
    (Cause.NOT_FOUND, 404, b"", SEEN, NOT_THE_API),
    (Cause.NOT_FOUND, 404, ERROR, SEEN, "RECORDER_UPSTREAM_PREFIX"),
    (Cause.CLIENT_ERROR, 422, b'{"detail": [{"loc": [], "msg": "bad id"}]}', UNSEEN, None),
    (Cause.CLIENT_ERROR, 402, ERROR, UNSEEN, "no credit"),
    (Cause.CLIENT_ERROR, 405, ERROR, UNSEEN, "ask again later"),
    (Cause.CLIENT_ERROR, 301, PAGE, UNSEEN, "set PARALLEL_BASE_URL to the new address"),
    (Cause.UNREACHABLE, None, b"", SEEN, "PARALLEL_BASE_URL"),
    (Cause.TIMEOUT, None, b"", UNSEEN, "the network"),
    (Cause.SERVER_ERROR, 503, PAGE, SEEN, "ask again later"),
    (Cause.RATE_LIMITED, 429, ERROR, UNSEEN, "ask again later"),
    (Cause.MALFORMED, 200, PAGE, UNSEEN, "whether a proxy or a login page answers"),
    (Cause.TOO_LARGE, 200, PAGE, UNSEEN, "whether a proxy or a login page answers"),
]


@pytest.mark.parametrize(("cause", "status", "body", "asked", "problem"), ANSWERS)
def test_what_an_answer_says(
    cause: Cause, status: int | None, body: bytes, asked: Asked, problem: str | None
) -> None:
    failure = Failure(after(0), after(1), cause, status, "detail", None)
    check = check_answer(failure, asked, ReceivedResponse(status, body=body))
    assert check.fine is (problem is None)
    assert (problem or "it answers") in check.text


@pytest.mark.parametrize(("asked", "fine"), [(UNSEEN, True), (SEEN, False)])
def test_at_its_usual_address_an_unknown_path_is_an_unknown_group(asked: Asked, fine: bool) -> None:
    failure = Failure(after(0), after(1), Cause.NOT_FOUND, 404, "detail", None)
    check = check_answer(failure, asked, ReceivedResponse(404, body=NO_PATH), usual_address=True)
    assert check.fine is fine and NOT_THE_API not in check.text


def test_another_group_than_the_one_that_was_asked_for() -> None:
    other = Observation(after(0), after(1), parse_body(b'{"taskgroup_id": "tgrp_2", "status": {}}'))
    check = check_answer(other, SEEN, ReceivedResponse(200))
    assert not check.fine and "another group" in check.text


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


def beat(*, age: float = 0, **report: Any) -> Heartbeat:
    return Heartbeat("one", "host", 7, after(-60), after(-age), {}, report)


NOT_WRITING = {"failures": 3, "failing_since": format_time(after(-9)), "error": "disk full"}
RECORDING = [
    ([beat()], 1, 0, 0.0, {}),
    ([], 1, 0, 0.0, {}),
    ([], 0, 0, 0.0, {"recorders": ["start one"]}),
    ([], 1, 0, 60.0, {"recorders": ["start one"], "groups": ["2 polls are due: no recorder"]}),
    ([beat()], 1, 1, 0.0, {"groups": ["1 group has an open gap, 2 polls are due; see"]}),
    ([beat(age=60)], 1, 0, 0.0, {"recorders": ["start one", "host pid 7 has stopped"]}),
    ([beat(age=60), beat()], 1, 0, 0.0, {"recorders": ["host pid 7 has stopped"]}),
    ([beat(writing=NOT_WRITING)], 1, 0, 0.0, {"recorders": ["start one", "cannot write to the database"]}),
    ([beat(upstream={"state": "key_rejected"})], 1, 0, 0.0, {"key": ["the recorder on host pid 7"]}),
]


@pytest.mark.parametrize(("recorders", "watched", "open_gaps", "late_seconds", "problems"), RECORDING)
def test_who_records_and_what_is_late(
    recorders: list[Heartbeat],
    watched: int,
    open_gaps: int,
    late_seconds: float,
    problems: dict[str, list[str]],
) -> None:
    counts = GroupCounts({}, {WatchState.WATCHING: watched}, open_gaps, 2, late_seconds, 0)
    found = [check for check in check_recording(recorders, counts, after(1)) if not check.fine]
    expected = [(subject, words) for subject, lines in problems.items() for words in lines]
    assert [check.subject for check in found] == [subject for subject, _ in expected]
    for check, (_, words) in zip(found, expected, strict=True):
        assert words in check.text and not check.text.startswith("0 ")


def test_a_provider_that_moved_is_told_and_followed(bare: Program, tmp_path: Path, database_url: str) -> None:
    log = tmp_path / "moved.log"
    moved = SimulatorSettings(api_key=KEY, log_path=log, scenario=(Scene(1, "v1_only"),))
    with simulating(moved) as url, Upstream(url, log) as provider:
        program = bare.using(
            PARALLEL_API_KEY=KEY, RECORDER_DATABASE_URL=database_url, **provider.settings, **SELDOM
        )
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
    assert "6 groups" in check.text and "5 others are:" in check.text and "none becomes gone" in check.text
    (check,) = check_missing(MissingGroups(3, 0, after(0)))
    assert "3 groups" in check.text and "and no other is:" in check.text


def test_single_groups_that_are_not_found_are_named() -> None:
    found = NotFoundGroups(1, ("tgrp_1",))
    assert list(check_not_found(found, together=True)) == []
    assert list(check_not_found(NotFoundGroups(), together=False)) == []
    (check,) = check_not_found(found, together=False)
    assert not check.fine and "tgrp_1" in check.text and "check the ids" in check.text
