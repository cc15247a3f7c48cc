"""`recorder history`: correct on every page, in both orders and with filters, and for ended groups."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.response_body import parse_body
from recorder.ledger.transitions import fail, observe
from recorder.store.enrolment import watch_group
from tests.support.program import Program
from tests.support.recording import RULES, Recording, active, after, settled

LINES = {
    1: "started by ada",
    2: "first seen: 3 queued",
    3: "+2 running, -2 queued; metadata changed (plan)",
    4: "server_error (503), 3 failed polls, 1 min 10 s",
    5: "unchanged after the gap",
    6: "from active to settled; +3 completed, -1 queued, -2 running; n 1, was absent [unknown_field]",
    7: "paused by ada: lunch",
    8: "resumed by bob: back",
    9: "after the break: +1 failed, -2 completed; -1 run in all [unknown_field, counts_decreased]",
}
KINDS = {"watch": {1, 7, 8}, "gap": {4}, "status": {2, 3, 5, 6, 9}}


def _record(engine: Engine) -> None:
    """A group with every kind of entry, and an open gap."""
    recording = Recording(engine)
    recording.watch("one")
    recording.see("one", 1, active(queued=3), metadata={"plan": "a"})
    recording.see("one", 10, active(queued=1, running=2), metadata={"plan": "b"})
    for seconds in (20.25, 40, 60):
        recording.fail("one", seconds)
    recording.see("one", 80, active(queued=1, running=2), metadata={"plan": "b"})
    recording.see("one", 90, {**settled(completed=3), "n": 1}, metadata={"plan": "b"})
    recording.pause("one", 100)
    watch_group(engine, "one", actor="bob", note="back", now=lambda: after(200), rules=RULES)
    recording.see("one", 201, {**settled(completed=1, failed=1), "n": 1}, metadata={"plan": "b"})


def _lines(out: str) -> dict[int | None, str]:
    """The lines of a history by their number, which is None for the open gap; the header is omitted."""
    rows = [re.match(r" *(\d+)?  (\d{4}-\S+ \S+)  (.*)", line) for line in out.splitlines()]
    return {int(row[1]) if row[1] else None: row[3] for row in rows if row is not None}


def _check_lines(lines: dict[int | None, str]) -> None:
    for seq, line in lines.items():
        assert ("not_polled" if seq is None else f" {LINES[seq]} ") in f" {line} ", (seq, line)


@pytest.mark.ledger(fill=_record)
def test_the_table(program: Program) -> None:
    lines = _lines(program.ok("history", "one"))
    assert list(lines) == [*LINES, None]
    _check_lines(lines)
    assert re.search(r"^settled +3/3 .* 12:01:30 +1 *$", lines[6])
    assert re.search(r"^gap .* 12:01:20 *$", lines[4])
    assert re.search(r"^gap .* so far +open *$", lines[None])


@pytest.mark.ledger(fill=_record)
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", ["1", "4"])
def test_a_page_takes_earlier_entries_into_account(program: Program, order: str, limit: str) -> None:
    seqs: list[int | None] = []
    cursor: list[str] = []
    while True:
        out = program.ok("history", "one", "--order", order, "--limit", limit, *cursor)
        lines = _lines(out)
        _check_lines(lines)
        seqs += lines
        following = re.search(r"--cursor (\S+)", out)
        if following is None:
            break
        cursor = ["--cursor", following[1]]
    expected = [*LINES, None]
    assert seqs == (expected if order == "asc" else expected[::-1])


@pytest.mark.ledger(fill=_record)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_filters_do_not_change_the_lines(program: Program, kind: str, order: str) -> None:
    lines = _lines(program.ok("history", "one", "--kind", kind, "--order", order))
    _check_lines(lines)
    assert lines.keys() - {None} == KINDS[kind]
    part = _lines(program.ok("history", "one", "--from", "2026-11-24T12:01:25Z", "--kind", "status"))
    _check_lines(part)
    assert part.keys() == {5, 6, 9}


class EndedRecording(Recording):
    """Can also record that a group is gone or retires."""

    def miss(self, taskgroup_id: str, at: float) -> None:
        """Record that the upstream reports no such group."""
        failure = Failure(after(at - 0.25), after(at), Cause.NOT_FOUND, 404, "no such group")
        self._poll(taskgroup_id, at, lambda claim: fail(claim.watch, failure, RULES), due=False)

    def see_last(self, taskgroup_id: str, at: float, status: dict[str, Any]) -> None:
        """Record a response after which the group retires, since it has not changed for long enough."""
        body = {"taskgroup_id": taskgroup_id, "metadata": None, "created_at": None, "status": status}
        seen = Observation(after(at - 0.25), after(at), parse_body(json.dumps(body).encode()))
        rules = replace(RULES, retire_after=timedelta(seconds=5))
        self._poll(taskgroup_id, at, lambda claim: observe(claim.watch, seen, rules), due=False)


@pytest.fixture
def ended(engine: Engine) -> EndedRecording:
    """A group that was seen at 10 and has been gone since 920."""
    ended = EndedRecording(engine)
    ended.watch("lost")
    ended.see("lost", 10, active(running=2))
    for seconds in range(20, 921, 10):
        ended.miss("lost", seconds)
    return ended


def test_a_gone_group(program: Program, ended: EndedRecording) -> None:
    history = _lines(program.ok("history", "lost"))
    assert list(history) == [1, 2, 3, 4]
    assert "not_found (404), 91 failed polls, 15 min 10 s" in history[3]
    assert "gone by recorder: the provider reports no such group" in history[4]
    status = program.ok("status", "lost")
    for words in ("gone, polled occasionally", "12:15:20: gone by recorder", "active, when last seen"):
        assert words in status
    assert "not seen" not in status
    assert " gone " in program.ok("groups")


def test_a_group_that_came_back(program: Program, ended: EndedRecording) -> None:
    ended.see("lost", 2000, active(running=2))
    history = _lines(program.ok("history", "lost"))
    assert "resumed by recorder: the provider reports it again" in history[5]
    assert "unchanged after the break" in history[6]
    status = program.ok("status", "lost")
    assert "12:33:20: resumed by recorder: the provider reports it again" in status
    assert "when last seen" not in status
    assert "not seen" in status


def test_a_retired_group(program: Program, ended: EndedRecording) -> None:
    ended.watch("done", 925)
    ended.see("done", 930, settled(completed=1))
    ended.see_last("done", 940, settled(completed=1))
    history = _lines(program.ok("history", "done"))
    assert "retired by recorder: settled, and unchanged for a long time" in history[3]
    status = program.ok("status", "done")
    for words in ("retired, not polled", "12:15:40: retired by recorder", "settled, when last seen"):
        assert words in status


@pytest.mark.ledger(fill=_record)
def test_the_status_shows_who_paused_a_group_and_why(program: Program, recording: Recording) -> None:
    recording.pause("one", 300)
    status = program.ok("status", "one")
    assert "paused, not polled" in status
    assert "2026-11-24 12:05:00: paused by ada: lunch" in status
