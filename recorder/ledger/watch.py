"""The watch row: the small mutable state of one group between two polls."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from recorder.ledger.entries import NOTHING_EXPECTED, Expectation, Interval, Kind
from recorder.ledger.failure_run import NO_FAILURES, FailureRun
from recorder.ledger.status_fields import Phase
from recorder.ledger.value_class import value_class


class WatchState(StrEnum):
    """`gone`: the upstream reports that the group does not exist. `retired`: settled, unchanged for long."""

    WATCHING = "watching"
    PAUSED = "paused"
    STOPPED = "stopped"
    GONE = "gone"
    RETIRED = "retired"


@value_class
class Head:
    """The newest entry of a ledger."""

    seq: int
    kind: Kind
    at: datetime
    digest: str


@value_class
class InForce:
    """What the next response is compared with: the newest status entry, even if gaps or pauses followed.

    `finished` and `modified_at` are the last known values, from it or from before it, None if there are none;
    an older state after a newer one, or the body of another group, does not change them.
    `quiet_since` is when the body last changed, or when the group was last enrolled or resumed if later.
    """

    seq: int
    fingerprint: str
    phase: Phase
    finished: int | None
    modified_at: datetime | None
    quiet_since: datetime


@value_class
class Watch:
    """One group's watch row.

    `due_at` is when the first poll after the last success was due; retries do not move it. A response after
    `gap_at` ends a gap. `poll_due_at` is when the next poll, first or retry, is due. All three are None while
    the group is not watched. `open` is the interval of the head if that is a status entry. `earlier_sight` is
    the `sight_at` from before the head if that is a note or an expectation, which show nothing.
    """

    taskgroup_id: str
    state: WatchState
    enrolled_at: datetime
    head: Head
    due_at: datetime | None
    gap_at: datetime | None
    poll_due_at: datetime | None
    open: Interval | None = None
    in_force: InForce | None = None
    failures: FailureRun = NO_FAILURES
    expected: Expectation = NOTHING_EXPECTED
    earlier_sight: datetime | None = None

    @property
    def sight_at(self) -> datetime:
        """The last response, or the newest change of state or gap if no response followed that."""
        if self.open is not None:
            return self.open.last_seen_at
        return self.head.at if self.earlier_sight is None else self.earlier_sight

    def moved(self, step: timedelta) -> Watch:
        """Return the watch after our clock was set by `step`: pending times move, recorded times stay."""

        def at(moment: datetime | None) -> datetime | None:
            return None if moment is None else moment + step

        return replace(
            self,
            due_at=at(self.due_at),
            gap_at=at(self.gap_at),
            poll_due_at=at(self.poll_due_at),
            failures=replace(self.failures, missing_since=at(self.failures.missing_since)),
            in_force=self.in_force and replace(self.in_force, quiet_since=self.in_force.quiet_since + step),
        )
