"""Text from the upstream or a user neither breaks a table nor controls the terminal."""

from __future__ import annotations

import json
import unicodedata

import pytest
from sqlalchemy import Engine

from recorder.store.enrolment import watch_group
from tests.support.databases import ON_SQLITE
from tests.support.program import Program
from tests.support.recording import RULES, Recording, active, after
from tests.support.terminal import EVIL, GROUP, control_characters


@pytest.fixture
def hostile(program: Program, engine: Engine) -> Program:
    recording = Recording(engine)
    watch_group(engine, GROUP, actor="[/ada]", note=f"note {EVIL}", now=lambda: after(0), rules=RULES)
    status = {**active(running=1), "status_message": f"message {EVIL}\x00"}
    status["task_run_status_counts"] |= {f"status {EVIL}\x00": 2}
    recording.see(GROUP, 1, status, metadata={f"key {EVIL}\x00": f"value {EVIL}\x00"})
    recording.see(GROUP, 11, {**status, "task_run_status_counts": [EVIL], "num_task_runs": EVIL})
    recording.see(GROUP, 21, status, metadata={f"key {EVIL}\x00": f"value {EVIL}\x00"})
    return program


@ON_SQLITE
@pytest.mark.parametrize("command", [["groups"], ["status", GROUP], ["history", GROUP], ["gaps", GROUP]])
def test_tables_have_no_control_characters(hostile: Program, command: list[str]) -> None:
    out = hostile.ok(*command)
    assert control_characters(out) == []
    assert GROUP in "".join(out.split("\n")) or command[0] in {"history", "gaps"}


@ON_SQLITE
def test_the_text_is_shown_with_escapes(hostile: Program) -> None:
    status = hostile.ok("status", GROUP)
    unwrapped = " ".join(status.split())
    for words in ("message [/foo] [bold red] \\x1b[2J", "\\u202egnp.exe", "value [/foo]", "2 status [/foo]"):
        assert words in unwrapped
    assert "note [/foo] [bold red] \\x1b[2J" in hostile.ok("history", GROUP)


@ON_SQLITE
def test_json_has_the_original_text(hostile: Program) -> None:
    out = hostile.ok("status", GROUP, "--json")
    assert [c for c in control_characters(out) if unicodedata.category(c) == "Cc" and ord(c) < 32] == []
    assert json.loads(out)["status"]["status_message"] == f"message {EVIL}\x00"
    (started, *_) = json.loads(hostile.ok("history", GROUP, "--json"))["items"]
    assert started["watch"]["note"] == f"note {EVIL}"
