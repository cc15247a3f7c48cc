"""The entries of a group's ledger: immutable, numbered without holes, each of one kind."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TypedDict

from recorder.ledger.anomalies import Anomaly
from recorder.ledger.poll_outcome import Cause
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.status_fields import StatusFields
from recorder.ledger.value_class import value_class


class Kind(StrEnum):
    WATCH = "watch"
    STATUS = "status"
    GAP = "gap"


class Action(StrEnum):
    """What happened to our enrolment of a group, or what somebody said about it (`noted`, `expected`)."""

    STARTED = "started"
    PAUSED = "paused"
    RESUMED = "resumed"
    STOPPED = "stopped"
    GONE = "gone"
    RETIRED = "retired"
    NOTED = "noted"
    EXPECTED = "expected"


REMARKS = frozenset({Action.NOTED, Action.EXPECTED})
"""The actions that leave the watch as it is: its state, when it is due and what was seen last."""


@value_class
class Interval:
    """How long a status was in sight: `polls` responses had it, of which the last was received at
    `last_seen_at` for the poll sent at `last_asked_at`."""

    last_asked_at: datetime
    last_seen_at: datetime
    polls: int


@value_class
class Gap:
    """A period in which the group should have been seen but was not.

    `to` is None while the gap is open. `attempts` counts failed polls. `unpolled_seconds` sums how late its
    polls were made. `http_status` and `detail` are those of the last failure with this cause.
    """

    from_: datetime
    to: datetime | None
    cause: Cause
    attempts: int
    unpolled_seconds: float
    http_status: int | None
    detail: str | None


@value_class
class Expectation:
    """What a group is expected to become: `runs` in all, done `by` a time; None where nothing is expected."""

    runs: int | None
    by: datetime | None


class ExpectationChanges(TypedDict, total=False):
    """What to expect from now on instead of what was expected; members that are not given stay."""

    runs: int | None
    by: datetime | None


NOTHING_EXPECTED = Expectation(None, None)
MOST_RUNS = 2**53 - 1
"""The most runs that can be expected: the largest whole number that every JSON reader takes exactly."""


@value_class
class WatchChange:
    """A change of our enrolment by `actor`, with their `note` or None.

    `expect` is what is expected from then on, None unless the action is `expected`.
    """

    action: Action
    actor: str
    note: str | None
    expect: Expectation | None = None


@value_class
class StatusContent:
    """A response body, its documented fields and its anomalies.

    `rules` is the version of the rules that derived phase and anomalies from the body.
    """

    body: ResponseBody
    fields: StatusFields
    anomalies: tuple[Anomaly, ...]
    rules: int


@value_class
class Entry:
    """One entry. `previous` is the interval of the entry just before it, None if that is not a status.

    `at` is when a status was first received, a gap ended, or a watch changed.
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
