"""The recorders of a database: which are alive, what they do, and why polls are late."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from recorder.ledger.poll_outcome import Cause
from recorder.ledger.timestamps import format_time
from recorder.store.group_counts import GroupCounts
from recorder.store.heartbeats import Heartbeat
from recorder.store.missing import NotFoundGroups, read_not_found

SHORT_OF = {
    "concurrency": "answers take too long for the polls that may run at once",
    "cpu": "the processor does not suffice",
    "database": "the database is not fast enough",
}
"""Why the recorders cannot make more polls, if the rate would allow them."""
EXAMPLES = 3
"""How many of the groups that are not found are named."""
LATE_SECONDS = 2.0
"""Polls that are due for less than this are on their way."""
SLOW_RESPONSE_SECONDS = 1.0
SLOW_WRITE_SECONDS = 1.0


class LateReason(StrEnum):
    """Why polls are late."""

    NO_RECORDER = "no_recorder"
    NOT_WRITING = "not_writing"
    DATABASE_SLOW = "database_slow"
    RATE = "rate"
    CONCURRENCY = "concurrency"
    CPU = "cpu"
    PROVIDER_SLOW = "provider_slow"
    PROVIDER_FAILING = "provider_failing"
    RETRY_AFTER = "retry_after"
    KEY_REJECTED = "key_rejected"


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason why polls are late, and a sentence about it; `recorder_id` is whose, None if all have it."""

    reason: LateReason
    recorder_id: str | None
    detail: str

    def body(self) -> dict[str, Any]:
        """Return the reason as JSON values."""
        return {"reason": self.reason.value, "recorder_id": self.recorder_id, "detail": self.detail}


def is_recording(recorders: Sequence[Heartbeat], now: datetime) -> bool:
    """Whether any recorder is able to record."""
    return any(beat.is_recording(now) for beat in recorders)


def only_not_found(trouble: Mapping[str, Any]) -> bool:
    """Whether all polls that failed got a 404 or 410: the provider answers, it is about these groups."""
    return set(trouble["failures"]) == {Cause.NOT_FOUND.value}


def not_found_groups(connection: Connection, recorders: Sequence[Heartbeat], now: datetime) -> NotFoundGroups:
    """Return the groups that are not found now, if a recorder says that there are some."""
    troubles = [
        (beat.report.get("upstream") or {}).get("trouble") for beat in recorders if beat.is_alive(now)
    ]
    if any(trouble and Cause.NOT_FOUND.value in trouble["failures"] for trouble in troubles):
        return read_not_found(connection, EXAMPLES)
    return NotFoundGroups()


def recorder_body(beat: Heartbeat, now: datetime) -> dict[str, Any]:
    """Return a recorder as JSON values."""
    report = beat.report
    polling, writing = report.get("polling", {}), report.get("writing", {})
    return {
        "recorder_id": beat.recorder_id,
        "host": beat.host,
        "pid": beat.pid,
        "started_at": format_time(beat.started_at),
        "heartbeat_at": format_time(beat.heartbeat_at),
        "alive": beat.is_alive(now),
        "recording": beat.is_recording(now),
        "clock_offset_seconds": report.get("clock_offset_seconds"),
        "last_poll_at": polling.get("last_poll_at"),
        "last_write_at": writing.get("last_write_at"),
        "write_failures": writing.get("failures"),
        "failing_since": writing.get("failing_since"),
        "response_seconds": polling.get("response_seconds"),
        "write_seconds": writing.get("write_seconds"),
        "limited_by": polling.get("limited_by"),
        "held_until": report.get("held_until"),
        "upstream": report.get("upstream"),
    }


def rate_budget_body(recorders: Sequence[Heartbeat], now: datetime, rate: float) -> dict[str, Any]:
    """Return the rate that the recorders report; `rate` is the default while none has reported one."""
    alive = [beat for beat in recorders if beat.is_alive(now)]
    reported = [beat.report["rate"] for beat in alive if "rate" in beat.report]
    unknown = ("needed_per_second", "stretch", "capacity_per_second", "reached_per_second", "limited_by")
    figures = {"requests_per_second": rate, **dict.fromkeys(unknown)}
    return {**figures, **(reported[-1] if reported else {}), "recorders": len(alive)}


def late_body(recorders: Sequence[Heartbeat], counts: GroupCounts, now: datetime) -> dict[str, Any]:
    """Return what is late and why, as JSON values."""
    return {
        "open_gaps": counts.open_gaps,
        "due_polls": counts.due,
        "late_seconds": round(counts.late_seconds, 3),
        "reasons": [reason.body() for reason in late_reasons(recorders, counts, now)],
    }


def late_reasons(recorders: Sequence[Heartbeat], counts: GroupCounts, now: datetime) -> list[Reason]:
    """Return why polls are late, none if nothing is."""
    if not counts.open_gaps and counts.late_seconds < LATE_SECONDS:
        return []
    alive = [beat for beat in recorders if beat.is_alive(now)]
    if not alive:
        return [Reason(LateReason.NO_RECORDER, None, "no recorder is running")]
    return [reason for beat in alive for reason in _reasons(beat)]


def _reasons(beat: Heartbeat) -> Iterator[Reason]:
    report, name = beat.report, beat.recorder_id
    polling, writing = report.get("polling", {}), report.get("writing", {})
    if writing.get("failures"):
        since = writing["failing_since"]
        yield Reason(LateReason.NOT_WRITING, name, f"it has not been able to write since {since}")
    elif (seconds := writing.get("write_seconds") or 0) >= SLOW_WRITE_SECONDS:
        yield Reason(LateReason.DATABASE_SLOW, name, f"the database takes {seconds:g} s for a write")
    yield from _limit_reasons(beat, polling)
    upstream = report.get("upstream") or {}
    trouble = upstream.get("trouble")
    if trouble is not None:
        failures = ", ".join(f"{count} {cause}" for cause, count in trouble["failures"].items())
        text = f"polls have failed since {trouble['since']}: {failures}"
        if upstream["state"] == "failing" and only_not_found(trouble):
            text = f"the provider answers, but does not find some groups since {trouble['since']}: {failures}"
        if upstream["state"] == "not_found":
            text += "; groups that were seen before are not found, and none of them becomes gone"
        yield Reason(LateReason.PROVIDER_FAILING, name, text)


def _limit_reasons(beat: Heartbeat, polling: dict[str, Any]) -> Iterator[Reason]:
    limit, name, rate = polling.get("limited_by"), beat.recorder_id, beat.report.get("rate", {})
    seconds = polling.get("response_seconds") or 0
    if beat.report.get("held_until") is not None:
        text = f"the provider asked to wait until {beat.report['held_until']}"
        yield Reason(LateReason.RETRY_AFTER, name, text)
    elif limit == "key_rejected":
        yield Reason(LateReason.KEY_REJECTED, name, "the provider rejects the API key")
    elif limit == "concurrency" and seconds >= SLOW_RESPONSE_SECONDS:
        text = f"all polls that may run at once wait for the provider, which takes {seconds:g} s"
        yield Reason(LateReason.PROVIDER_SLOW, name, text)
    elif limit == "concurrency":
        yield Reason(LateReason.CONCURRENCY, name, "all polls that RECORDER_CONCURRENCY allows are running")
    elif limit == "cpu":
        yield Reason(LateReason.CPU, name, "it uses all of a processor")
    elif limit == "database":
        yield Reason(LateReason.DATABASE_SLOW, name, "polls wait for its writes to the database")
    if limit == "rate" or rate.get("stretch", 1) > 1:
        yield _shortfall(name, rate)


def _shortfall(name: str, rate: dict[str, Any]) -> Reason:
    needs = f"the groups need {rate.get('needed_per_second'):g} requests per second"
    limit = rate.get("limited_by") or "rate"
    if limit == "rate":
        text = f"{needs}, and RECORDER_RATE allows {rate.get('requests_per_second'):g}"
        return Reason(LateReason.RATE, name, text)
    text = f"{needs}, and {rate['capacity_per_second']:g} are possible: {SHORT_OF[limit]}"
    return Reason(LateReason("database_slow" if limit == "database" else limit), name, text)
