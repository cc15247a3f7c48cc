"""What an upstream or a user wrote neither crashes a table nor steers the terminal that it is shown on."""

from __future__ import annotations

import json
import unicodedata

import pytest
from sqlalchemy import Engine

from recorder.store.enrolment import watch_group
from tests.support.program import Program
from tests.support.recording import RULES, Recording, active, after
from tests.support.terminal import EVIL, GROUP, steering


@pytest.fixture
def program_with_evil(program: Program, engine: Engine) -> Program:
    recording = Recording(engine)
    watch_group(engine, GROUP, actor="[/ada]", note=f"note {EVIL}", now=lambda: after(0), rules=RULES)
    status = {**active(running=1), "status_message": f"message {EVIL}\x00"}
    status["task_run_status_counts"] |= {f"status {EVIL}\x00": 2}
    recording.see(GROUP, 1, status, metadata={f"key {EVIL}\x00": f"value {EVIL}\x00"})
    recording.see(GROUP, 11, {**status, "task_run_status_counts": [EVIL], "num_task_runs": EVIL})
    recording.see(GROUP, 21, status, metadata={f"key {EVIL}\x00": f"value {EVIL}\x00"})
    return program


@pytest.mark.parametrize("command", [["groups"], ["status", GROUP], ["history", GROUP], ["gaps", GROUP]])
def test_tables_show_it_without_obeying_it(program_with_evil: Program, command: list[str]) -> None:
    out = program_with_evil.ok(*command)
    assert steering(out) == []
    assert GROUP in "".join(out.split("\n")) or command[0] in {"history", "gaps"}


def test_it_is_shown_all_the_same(program_with_evil: Program) -> None:
    status = program_with_evil.ok("status", GROUP)
    flowing = " ".join(status.split())
    for words in ("message [/foo] [bold red] \\x1b[2J", "\\u202egnp.exe", "value [/foo]", "2 status [/foo]"):
        assert words in flowing
    assert "note [/foo] [bold red] \\x1b[2J" in program_with_evil.ok("history", GROUP)


def test_json_carries_it_as_it_was_said(program_with_evil: Program) -> None:
    out = program_with_evil.ok("status", GROUP, "--json")
    assert [c for c in steering(out) if unicodedata.category(c) == "Cc" and ord(c) < 32] == []
    assert json.loads(out)["status"]["status_message"] == f"message {EVIL}\x00"
    (started, *_) = json.loads(program_with_evil.ok("history", GROUP, "--json"))["items"]
    assert started["watch"]["note"] == f"note {EVIL}"
