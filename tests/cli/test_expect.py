"""`recorder expect`, `recorder note` and `recorder watch --expect-runs`: what they write, say and refuse."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Engine

from tests.support.program import Program, watch_entries
from tests.support.recording import Recording, active, after, settled

WRONG: list[tuple[str, ...]] = [
    ("expect", "one"),
    *(("expect", "one", "--runs", runs) for runs in ("0", "-1", "1.5", "many", "", "9007199254740992")),
    *(("expect", "one", "--by", by) for by in ("soon", "2026-13-01T00:00:00Z", "2026-11-24T12:00:00")),
    *(("expect", "one", "--by", by) for by in ("-5m", "5w", "999999999999d", "3000000d")),
    ("watch", "one", "--expect-runs", "none"),
    ("watch", "one", "--expect-by", "none"),
    ("expect", "one", "--runs", "5", "--note", "two\nlines"),
    ("note", "one", "two\nlines"),
    ("note", "one", ""),
]
NOON = "2030-11-24T12:00:00.000000Z"


def expected(program: Program) -> Any:
    (group,) = json.loads(program.ok("groups", "--json"))["items"]
    return group["expected"]


def test_enrolling_with_an_expectation(program: Program) -> None:
    ada = program.using(RECORDER_ACTOR="ada")
    ada.ok("watch", "--exact", "one", "--expect-runs", "500", "--note", "March")
    started, said = watch_entries(program, "one")
    assert started == {"action": "started", "actor": "ada", "note": "March"}
    runs = {"runs": 500, "by": None}
    assert said == {"action": "expected", "actor": "ada", "note": None, "expect": runs}
    assert ada.ok("watch", "--exact", "one", "--expect-runs", "500") == "one: is being watched already\n"
    assert ada.ok("watch", "--exact", "one", "--expect-by", NOON, "--note", "late").startswith(
        "one: is being watched"
    )
    assert watch_entries(program, "one")[2:] == [
        {"action": "expected", "actor": "ada", "note": "late", "expect": {"runs": 500, "by": NOON}}
    ]
    ada.ok("pause", "one")
    ada.ok("watch", "--exact", "one", "--expect-runs", "7")
    assert [entry["action"] for entry in watch_entries(program, "one")[3:]] == [
        "paused",
        "resumed",
        "expected",
    ]


def test_expectations_are_said_changed_and_taken_back(program: Program) -> None:
    program.ok("watch", "--exact", "one")
    assert program.ok("expect", "one", "--runs", "1") == "one: expected: 1 run\n"
    assert program.ok("expect", "one", "--by", NOON) == "one: expected: 1 run by 2030-11-24 12:00:00\n"
    assert (
        program.ok("expect", "one", "--runs", "1") == "one: expected already: 1 run by 2030-11-24 12:00:00\n"
    )
    assert program.ok("expect", "one", "--runs", "none") == "one: expected: done by 2030-11-24 12:00:00\n"
    assert expected(program) == {"runs": None, "by": NOON}
    assert program.ok("expect", "one", "--by", "none", "--note", "never mind") == "one: expected: nothing\n"
    assert expected(program) is None
    program.ok("expect", "one", "--by", "1.5d")
    assert expected(program)["by"] > "2026"
    assert "\n" not in program.ok("note", "one", "é 𝄞").strip()
    assert watch_entries(program, "one")[-1]["note"] == "é 𝄞"


def test_wrong_usage_is_one_line(program: Program) -> None:
    program.ok("watch", "--exact", "one")
    for arguments in WRONG:
        assert program.run(*arguments).wrong_usage(), arguments
    assert len(watch_entries(program, "one")) == 1


def test_groups_of_which_nothing_can_be_expected(program: Program) -> None:
    program.ok("watch", "--exact", "one")
    program.ok("unwatch", "one")
    for arguments, words in (
        (("expect", "one", "--runs", "5"), "is stopped"),
        (("expect", "two", "--runs", "5"), "was never watched"),
        (("note", "two", "hello"), "was never watched"),
    ):
        assert words in program.run(*arguments).complaint()
    program.ok("note", "one", "hello")
    program.ok("watch", "--exact", "one", "--expect-runs", "5")
    assert "expected already" in program.run("expect", "one", "--runs", "5", "--note", "why").complaint()


def test_a_time_that_has_passed_is_taken_with_a_line_that_says_so(program: Program) -> None:
    program.ok("watch", "--exact", "one")
    result = program.run("expect", "one", "--by", "2020-01-01T00:00:00Z")
    assert result.status == 0 and len(result.complaints) == 1
    assert "has passed" in result.err


def test_a_short_group_is_nowhere_said_to_be_done(program: Program, engine: Engine) -> None:
    recording = Recording(engine)
    recording.watch("one")
    recording.expect("one", 5, runs=500, by=after(3600))
    recording.see("one", 10, settled(completed=200))
    for command in (["groups"], ["status", "one"], ["completion", "one"]):
        words = program.ok(*command)
        assert "settled, short" in words
        assert "done" not in words
    assert "500 runs by 2026-11-24 13:00:00; 300 not added yet" in program.ok("status", "one")
    assert "200/200, 500 expected" in program.ok("groups")
    recording.see("one", 20, active(completed=200, running=100))
    assert (
        "300 of 500 runs added so far" in (words := program.ok("completion", "one")) and "done" not in words
    )
    recording.see("one", 30, settled(completed=500))
    assert "short" not in program.ok("groups") + program.ok("status", "one") + program.ok("completion", "one")
    assert "all added" in program.ok("status", "one")
    log = program.ok("history", "one")
    assert "expected by ada: 500 runs by 2026-11-24 13:00:00" in log
