"""What the upstream claims about single runs: the events of its stream of runs, and the digest of a snapshot.

Nothing here was observed. A snapshot is what the upstream said at one time about runs and their past.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from recorder.ledger.group_id import check_taskgroup_id
from recorder.ledger.timestamps import is_plausible, parse_upstream_time

STATE_EVENT = "task_run.state"
_NOTE = re.compile(r"backfill: (\d+) runs, sha256 ([0-9a-f]{64})", re.ASCII)


class MalformedEventError(ValueError):
    """An event that does not describe a run; the text says why."""


class UpstreamReportedError(Exception):
    """The upstream ended its stream with an error; the text is its message."""


@dataclass(frozen=True, slots=True)
class RunClaim:
    """A run as the upstream describes it; `said` is the whole event as it was sent, on one line.

    What is missing, mistyped or no time is None.
    """

    run_id: str
    said: str
    processor: str | None
    status: str | None
    created_at: datetime | None
    modified_at: datetime | None


def read_run_event(said: str, taskgroup_id: str) -> RunClaim | None:
    """Return the claim in the data of an event; None for an event that is about something else.

    Raises:
        MalformedEventError: it is not a JSON object, or lacks the run's id, or the run is another group's.
        UpstreamReportedError: it is the upstream's event of an error.
    """
    event = _parsed(said)
    if event.get("type") == "error":
        error = event.get("error")
        message = error.get("message") if isinstance(error, dict) else None
        raise UpstreamReportedError(message if isinstance(message, str) else "no message")
    if event.get("type") != STATE_EVENT:
        return None
    run = event.get("run")
    if not isinstance(run, dict):
        raise MalformedEventError("an event without a run")
    if (group := run.get("taskgroup_id")) is not None and group != taskgroup_id:
        raise MalformedEventError("a run of another group")
    # Line breaks are white space between the members: inside of texts JSON has none.
    line = said.replace("\r", " ").replace("\n", " ")
    return RunClaim(
        run_id=_run_id(run.get("run_id")),
        said=line,
        processor=_storable(run.get("processor")),
        status=_storable(run.get("status")),
        created_at=_time(run.get("created_at")),
        modified_at=_time(run.get("modified_at")),
    )


def snapshot_digest(said: Iterable[str]) -> str:
    """Return the SHA-256 of a snapshot, in hex: of its events, a line each, in the order of the runs' ids."""
    digest = hashlib.sha256()
    for line in said:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def snapshot_note(runs: int, digest: str) -> str:
    """Return the note of the entry that fixes a snapshot in its group's chain."""
    return f"backfill: {runs} runs, sha256 {digest}"


def noted_digest(note: str) -> str | None:
    """Return the digest of the snapshot that a note fixes, None if it is another note."""
    match = _NOTE.fullmatch(note)
    return None if match is None else match[2]


def _parsed(said: str) -> dict[str, Any]:
    try:
        event = json.loads(said, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise MalformedEventError("an event that is not JSON") from None
    if not isinstance(event, dict):
        raise MalformedEventError("an event that is not an object")
    return event


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _run_id(value: object) -> str:
    if not isinstance(value, str):
        raise MalformedEventError("a run without an id")
    try:
        return check_taskgroup_id(value)
    except ValueError as error:
        raise MalformedEventError(f"the id of a run {error}") from None


def _time(value: object) -> datetime | None:
    moment = parse_upstream_time(value)
    return moment if is_plausible(moment) else None


def _storable(value: object) -> str | None:
    """Return a text that every database can store; what it cannot is replaced by U+FFFD."""
    if not isinstance(value, str):
        return None
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")
