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

    received_at: datetime
    responded_at: datetime | None
    http_status: int | None
    body: Any


def requests_by_group(log: Path) -> dict[str, list[Request]]:
    """Read the GETs of each group from the log, in order of arrival."""
    found: dict[str, list[Request]] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["method"] != "GET" or record["taskgroup_id"] is None:
            continue
        responded_at = record["answered_at"]
        body = json.loads(record["body"]) if record["status"] == 200 else None
        found.setdefault(record["taskgroup_id"], []).append(
            Request(moment(record["at"]), responded_at and moment(responded_at), record["status"], body)
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
    last_response: Request | None = None
    for item in items[1:]:
        if item["kind"] == "gap":
            failed = _take_failures(remaining)
            if last_response is None:
                assert item["gap"]["from"] == items[0]["at"]
            else:
                _assert_received_soon_after(item["gap"]["from"], last_response)
            _check_gap(item["gap"], failed, remaining[0])
        else:
            responses = _take_responses(remaining, item["polls"], gap_window)
            last_response = _check_status(item, responses)
            if before is not None and before["kind"] == "status":
                assert item["status"] != before["status"], "an entry without a change"
        before = item
    assert [request for request in remaining if request.body is not None] == [], "responses not recorded"


def _take_failures(remaining: list[Request]) -> list[Request]:
    failed = []
    while remaining and remaining[0].body is None:
        failed.append(remaining.pop(0))
    return failed


def _take_responses(remaining: list[Request], polls: int, gap_window: float) -> list[Request]:
    """Take the entry's responses; failures between them must be too short for a gap."""
    responses: list[Request] = []
    while len(responses) < polls:
        failed = _take_failures(remaining)
        assert remaining, "the history has more responses than the log"
        response = remaining.pop(0)
        if responses and failed:
            seconds = (response.received_at - failed[0].received_at).total_seconds()
            assert seconds < gap_window + 1, "a gap is missing"
        responses.append(response)
    return responses


def _check_status(item: dict[str, Any], responses: list[Request]) -> Request:
    for response in responses:
        assert response.body["status"] == item["status"]
        assert response.body["metadata"] == item["metadata"]
        assert moment(response.body["created_at"]) == moment(item["created_at"])
    _assert_received_soon_after(item["observed_at"], responses[0])
    _assert_received_soon_after(item["last_seen_at"], responses[-1])
    assert item["at"] == item["observed_at"]
    assert item["anomalies"] == []
    assert item["phase"] == _phase(item["status"])
    return responses[-1]


def _check_gap(gap: dict[str, Any], failed: list[Request], after: Request) -> None:
    _assert_received_soon_after(gap["to"], after)
    assert gap["attempts"] == len(failed)
    seconds = (moment(gap["to"]) - moment(gap["from"])).total_seconds()
    assert 0 <= gap["unpolled_seconds"] <= seconds
    if failed and gap["unpolled_seconds"] <= seconds / 2:
        assert (gap["cause"], gap["http_status"]) == ("server_error", 503)
    else:
        assert (gap["cause"], gap["http_status"], gap["detail"]) == ("not_polled", None, None)


def _assert_received_soon_after(time: str, response: Request) -> None:
    """Both processes use the same clock, but a busy machine may delay a response."""
    assert response.responded_at is not None
    delay = (moment(time) - response.responded_at).total_seconds()
    assert -0.01 <= delay < 2


def _phase(status: dict[str, Any]) -> str:
    counts = status["task_run_status_counts"]
    if status["is_active"]:
        return "active"
    if counts.get("action_required"):
        return "blocked"
    return "settled" if status["num_task_runs"] else "empty"
