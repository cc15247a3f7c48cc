"""The entries of a group's ledger: immutable, numbered without holes, each of one kind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from recorder.ledger.anomalies import Anomaly
from recorder.ledger.poll_outcome import Cause
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.status_fields import Reading


class Kind(StrEnum):
    WATCH = "watch"
    STATUS = "status"
    GAP = "gap"


class Action(StrEnum):
    """What a watch entry says of our enrolment of a group."""

    STARTED = "started"
    PAUSED = "paused"
    RESUMED = "resumed"
    STOPPED = "stopped"
    GONE = "gone"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Interval:
    """How long a status was in sight: last said by the response received at `last_seen_at` to the poll
    sent at `last_asked_at`, and by `polls` responses in all."""

    last_asked_at: datetime
    last_seen_at: datetime
    polls: int


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch in which the group should have been seen and was not.

    `to` is None while it is open. `attempts` counts failed polls. `unpolled_seconds` sums how much later
    than due the polls in it were made. `http_status` and `detail` are of the last failure of its cause.
    """

    from_: datetime
    to: datetime | None
    cause: Cause
    attempts: int
    unpolled_seconds: float
    http_status: int | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class WatchChange:
    """A change of our enrolment, by `actor`; `note` is theirs, or None."""

    action: Action
    actor: str
    note: str | None


@dataclass(frozen=True, slots=True)
class StatusContent:
    """A response body, what it was read into, and what is odd about it.

    `rules` names the version of the rules that derived phase and anomalies from the body.
    """

    body: ResponseBody
    reading: Reading
    anomalies: tuple[Anomaly, ...]
    rules: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. `previous` closes the interval of the status entry just before it, None if there is none.

    `at` is when a status was first said, a gap ended, or a watch changed.
    """

    taskgroup_id: str
    seq: int
    at: datetime
    previous: Interval | None
    content: StatusContent | Gap | WatchChange
    digest: str

    @property
    def kind(self) -> Kind:
        if isinstance(self.content, StatusContent):
            return Kind.STATUS
        return Kind.GAP if isinstance(self.content, Gap) else Kind.WATCH
