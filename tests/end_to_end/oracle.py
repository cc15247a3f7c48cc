"""Derive a group's expected history from the simulator's request log alone.

It shares no code with the recorder: JSON, times and the rules are implemented independently.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass
class Request:
    """One GET of a group as the upstream saw it; `body` is None unless the status was 200."""

    received: datetime
    answered: datetime | None
    http_status: int | None
    body: Any


def requests_by_group(log: Path) -> dict[str, list[Request]]:
    """Read the GETs of each group from the log, in order of arrival."""
    found: dict[str, list[Request]] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["method"] != "GET" or record["taskgroup_id"] is None:
            continue
        answered = record["answered_at"]
        body = json.loads(record["body"]) if record["status"] == 200 else None
        found.setdefault(record["taskgroup_id"], []).append(
            Request(moment(record["at"]), answered and moment(answered), record["status"], body)
        )
    return found


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def check_history(items: list[dict[str, Any]], requests: list[Request], *, gap_window: float) -> None:
    """Compare a group's history, entry by entry, with the responses of the upstream."""
    assert [item["seq"] for item in items] == list(range(1, len(items) + 1))
    assert (items[0]["kind"], items[0]["watch"]["action"]) == ("watch", "started")
    remaining = list(requests)
    before: dict[str, Any] | None = None
    last_answer: Request | None = None
    for item in items[1:]:
        if item["kind"] == "gap":
            failed = _take_failures(remaining)
            if last_answer is None:
                assert item["gap"]["from"] == items[0]["at"]
            else:
                _received_soon_after(item["gap"]["from"], last_answer)
            _check_gap(item["gap"], failed, remaining[0])
        else:
            answers = _take_answers(remaining, item["polls"], gap_window)
            last_answer = _check_status(item, answers)
            if before is not None and before["kind"] == "status":
                assert item["status"] != before["status"], "an entry without a change"
        before = item
    assert [request for request in remaining if request.body is not None] == [], "responses not recorded"


def _take_failures(remaining: list[Request]) -> list[Request]:
    failed = []
    while remaining and remaining[0].body is None:
        failed.append(remaining.pop(0))
    return failed


def _take_answers(remaining: list[Request], polls: int, gap_window: float) -> list[Request]:
    """Take the entry's responses; failures between them must be too short for a gap."""
    answers: list[Request] = []
    while len(answers) < polls:
        failed = _take_failures(remaining)
        assert remaining, "the history has more responses than the log"
        answer = remaining.pop(0)
        if answers and failed:
            blind = (answer.received - failed[0].received).total_seconds()
            assert blind < gap_window + 1, "a gap is missing"
        answers.append(answer)
    return answers


def _check_status(item: dict[str, Any], answers: list[Request]) -> Request:
    for answer in answers:
        assert answer.body["status"] == item["status"]
        assert answer.body["metadata"] == item["metadata"]
        assert moment(answer.body["created_at"]) == moment(item["created_at"])
    _received_soon_after(item["observed_at"], answers[0])
    _received_soon_after(item["last_seen_at"], answers[-1])
    assert item["at"] == item["observed_at"]
    assert item["anomalies"] == []
    assert item["phase"] == _phase(item["status"])
    return answers[-1]


def _check_gap(gap: dict[str, Any], failed: list[Request], after: Request) -> None:
    _received_soon_after(gap["to"], after)
    assert gap["attempts"] == len(failed)
    seconds = (moment(gap["to"]) - moment(gap["from"])).total_seconds()
    assert 0 <= gap["unpolled_seconds"] <= seconds
    if failed and gap["unpolled_seconds"] <= seconds / 2:
        assert (gap["cause"], gap["http_status"]) == ("server_error", 503)
    else:
        assert (gap["cause"], gap["http_status"], gap["detail"]) == ("not_polled", None, None)


def _received_soon_after(time: str, answer: Request) -> None:
    """Both processes use the same clock, but a busy machine may delay a response."""
    assert answer.answered is not None
    delay = (moment(time) - answer.answered).total_seconds()
    assert -0.01 <= delay < 2


def _phase(status: dict[str, Any]) -> str:
    counts = status["task_run_status_counts"]
    if status["is_active"]:
        return "active"
    if counts.get("action_required"):
        return "blocked"
    return "settled" if status["num_task_runs"] else "empty"
