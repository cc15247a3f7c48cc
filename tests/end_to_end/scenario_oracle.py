"""Derive a group's expected history under a scenario from the simulator's request log alone.

It shares no code with the recorder: numbers, equality, causes and the rules for gaps are implemented
independently.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import rfc8785

from tests.support.request_log import read_log

TIMEOUT_SECONDS = 3
"""The recorder's request timeout, long enough for a busy machine to deliver every response within it."""
MARGIN_SECONDS = 1.0
"""Responses this close to the time after which they end a gap may or may not do so on a busy machine."""
SAFE = 2**53 - 1

FAULTS: dict[str, tuple[str, int | None]] = {
    "close": ("unreachable", None),
    "reset": ("unreachable", None),
    "hang": ("timeout", None),
    "close_in_body": ("unreachable", None),
    "hang_in_body": ("timeout", None),
    "garbage": ("malformed", None),
    "huge_header": ("malformed", None),
    "oversize": ("too_large", 200),
    "oversize_chunked": ("too_large", 200),
    "gzipped": ("malformed", 200),
    "redirect": ("client_error", 307),
    "cached": ("stale", 200),
    "unauthorized": ("unauthorized", 401),
    "payment_required": ("client_error", 402),
    "forbidden": ("unauthorized", 403),
    "not_found": ("not_found", 404),
    "request_timeout": ("client_error", 408),
    "gone": ("not_found", 410),
    "unprocessable": ("client_error", 422),
    "rate_limit": ("rate_limited", 429),
    "server_error": ("server_error", 500),
    "bad_gateway": ("server_error", 502),
    "refuse": ("server_error", 503),
    "unavailable_page": ("server_error", 503),
    "page": ("malformed", 200),
    "empty": ("malformed", 200),
    "truncated": ("malformed", 200),
    "duplicate_keys": ("malformed", 200),
    "lone_surrogate": ("malformed", 200),
    "not_utf8": ("malformed", 200),
    "json_array": ("malformed", 200),
    "json_string": ("malformed", 200),
    "json_null": ("malformed", 200),
    "no_status": ("malformed", 200),
    "status_text": ("malformed", 200),
}
"""The cause and the HTTP status that the recorder reports for each fault."""

OLDER_STATES = {"lagging"}
"""Faults whose responses are recorded, as nothing but their bodies shows that they are old."""

EXPECTED_ANOMALIES: dict[str, set[str]] = {
    "lagging": {"counts_decreased", "modified_at_regressed"},
    "unknown_status": {"unknown_status"},
    "counts_null": {"bad_type"},
    "count_null": {"bad_type"},
    "count_true": {"bad_type"},
    "counts_fall": {"counts_decreased"},
    "counts_mismatch": {"count_mismatch"},
    "total_text": {"bad_type"},
    "active_contradicts": {"active_mismatch"},
    "modified_regresses": {"modified_at_regressed"},
    "modified_nonsense": {"bad_timestamp"},
    "created_nonsense": {"bad_timestamp"},
    "unknown_field": {"unknown_field"},
    "unknown_status_field": {"unknown_field"},
    "other_id": {"id_mismatch"},
    "huge_number": {"inexact_number"},
    "long_decimal": {"inexact_number"},
    "big_integer": {"inexact_number"},
}
"""The anomalies that each alteration must cause in at least one response."""

FOLLOW_UP_ANOMALIES = {"counts_decreased", "modified_at_regressed"}
"""Anomalies of unaltered responses that follow an altered one."""


@dataclass
class Request:
    """One GET of a group as the upstream saw it, with the `text` of a good response or a `cause`."""

    received_at: datetime
    responded_at: datetime | None
    text: str | None
    cause: str | None
    http_status: int | None
    fault: str | None
    altered: set[str]

    @property
    def canonical(self) -> bytes:
        """Equal for equal bodies, however they are written; the original text if the body is inexact."""
        assert self.text is not None
        return self.text.encode() if inexact(self.text) else rfc8785.dumps(json.loads(self.text))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def inexact(text: str) -> bool:
    """Whether RFC 8785 changes the value of a number in the text."""
    found: list[bool] = []

    def integer(literal: str) -> int:
        found.append(abs(int(literal)) > SAFE)
        return 0

    def fraction(literal: str) -> float:
        value = float(literal)
        finite = value not in {float("inf"), float("-inf")}
        found.append(not finite or Decimal(rfc8785.dumps(value).decode()) != Decimal(literal))
        return 0.0

    json.loads(text, parse_int=integer, parse_float=fraction)
    return any(found)


def read_requests(log: Path) -> dict[str, list[Request]]:
    """The GETs of each group in order of arrival, without those that only ask if it is found elsewhere."""
    found: dict[str, list[Request]] = {}
    for record in read_log(log):
        if record["method"] == "GET" and record["path"].startswith("/v1beta/tasks/groups/"):
            found.setdefault(record["taskgroup_id"], []).append(_request(record))
    return found


def _request(record: dict[str, Any]) -> Request:
    good = record["status"] == 200 and record["fault"] in {None, *OLDER_STATES}
    # Without a fault from the scenario, the client gave up waiting for a slow response.
    failure = FAULTS[record["fault"]] if record["fault"] and not good else ("timeout", None)
    cause, http_status = (None, None) if good else failure
    return Request(
        received_at=moment(record["at"]),
        responded_at=record["answered_at"] and moment(record["answered_at"]),
        text=record["body"] if good else None,
        cause=cause,
        http_status=http_status,
        fault=record["fault"],
        altered={scene["what"] for scene in record["scenes"]},
    )


@dataclass
class ExpectedHistory:
    """A group's history according to the log, compared step by step with the recorded one."""

    items: list[dict[str, Any]]
    poll_interval: float
    window: float
    anomalies: dict[str, set[str]]
    position: int = 1
    last: Request | None = None
    equal: int = 0

    def check(self, requests: list[Request]) -> None:
        """Compare the recorded history with the requests, entry by entry."""
        assert [item["seq"] for item in self.items] == list(range(1, len(self.items) + 1))
        assert (self.items[0]["kind"], self.items[0]["watch"]["action"]) == ("watch", "started")
        failed: list[Request] = []
        for request in requests:
            if request.text is None:
                failed.append(request)
                continue
            self._response(request, failed)
            failed = []
        self._end_interval()
        assert self.position == len(self.items), "entries without a response"

    def _response(self, response: Request, failed: list[Request]) -> None:
        gap = self._is_gap(response)
        if gap or self.last is None or response.canonical != self.last.canonical:
            self._end_interval()
            if gap:
                self._gap(response, failed)
            self._status(response)
            self.equal = 1
        else:
            self.equal += 1
        self.last = response

    def _is_gap(self, response: Request) -> bool:
        """Whether a gap precedes the response; borderline cases follow the recorded history."""
        assert response.responded_at is not None
        if self.last is None:
            wait, earliest, latest = self._since(self.items[0]["at"], response), 0.0, 0.0
        else:
            assert self.last.responded_at is not None
            interval = min(self.poll_interval * 1.5 ** (self.equal - 1), self.poll_interval * 6)
            wait = (response.responded_at - self.last.responded_at).total_seconds()
            earliest, latest = interval * 0.9, interval * 1.1
        if wait > latest + self.window + MARGIN_SECONDS:
            return True
        if wait < earliest + self.window - MARGIN_SECONDS:
            return False
        return self._next_is_gap()

    def _next_is_gap(self) -> bool:
        ahead = self.position + (self.last is not None)
        return ahead < len(self.items) and self.items[ahead]["kind"] == "gap"

    def _since(self, time: str, response: Request) -> float:
        assert response.responded_at is not None
        return (response.responded_at - moment(time)).total_seconds()

    def _end_interval(self) -> None:
        """The last status has ended, so its entry must count all of its responses."""
        if self.last is not None:
            item = self.items[self.position]
            assert item["polls"] == self.equal
            _assert_soon_after(item["last_seen_at"], self.last)
            self.position += 1

    def _gap(self, response: Request, failed: list[Request]) -> None:
        item = self.items[self.position]
        assert item["kind"] == "gap"
        gap = item["gap"]
        _assert_soon_after(gap["to"], response)
        if self.last is None:
            assert gap["from"] == self.items[0]["at"]
        else:
            _assert_soon_after(gap["from"], self.last)
        assert gap["attempts"] == len(failed)
        seconds = (moment(gap["to"]) - moment(gap["from"])).total_seconds()
        if failed and gap["unpolled_seconds"] <= seconds / 2:
            cause, http_status = _most_common(failed)
            assert (gap["cause"], gap["http_status"]) == (cause, http_status)
            assert gap["detail"]
        else:
            assert (gap["cause"], gap["http_status"], gap["detail"]) == ("not_polled", None, None)
        self.position += 1

    def _status(self, response: Request) -> None:
        assert self.position < len(self.items), "a response is missing"
        item = self.items[self.position]
        assert item["kind"] == "status"
        _assert_soon_after(item["observed_at"], response)
        assert response.text is not None
        body = json.loads(response.text)
        assert item["status"] == body["status"]
        if "huge_number" not in response.altered:
            assert item["metadata"] == body.get("metadata")
        self._anomalies(set(item["anomalies"]), response)

    def _anomalies(self, found: set[str], response: Request) -> None:
        assert ("inexact_number" in found) == inexact(response.text or "")
        if not response.altered - {"slow"}:
            assert found <= FOLLOW_UP_ANOMALIES
        for name in response.altered:
            self.anomalies.setdefault(name, set()).update(found)


def _most_common(failed: list[Request]) -> tuple[str | None, int | None]:
    """The most frequent cause, or the latest if several tie, with the HTTP status of its last failure."""
    counts = Counter(request.cause for request in failed)
    most = max(counts.values())
    last = next(request for request in reversed(failed) if counts[request.cause] == most)
    return last.cause, last.http_status


def _assert_soon_after(time: str, request: Request) -> None:
    """Both processes use the same clock, but a busy machine may delay a response."""
    assert request.responded_at is not None
    assert -0.01 <= (moment(time) - request.responded_at).total_seconds() < TIMEOUT_SECONDS
