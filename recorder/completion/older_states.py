"""Tell an older state of a group, as a lagging replica of the upstream gives it, from a new one.

It is older if both its finished runs and its `modified_at` are below the highest in the same stretch of work.
Such a stretch begins with the observation that opens an episode, and lasts until the next episode opens.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from recorder.ledger.entries import StatusContent
from recorder.ledger.status_fields import finished_runs
from recorder.ledger.timestamps import EARLIEST_PLAUSIBLE
from recorder.ledger.value_class import value_class

_MOST_AHEAD = timedelta(days=1)
"""A `modified_at` further ahead of our clock is a mistake: what follows would look older for ever."""


@value_class
class Newest:
    """The most runs finished and the latest `modified_at` in some observations; None if it is unknown."""

    finished: int | None
    modified_at: datetime | None

    def is_older_than(self, other: Newest) -> bool:
        """Whether both are known, and lower."""
        if self.finished is None or other.finished is None or self.finished >= other.finished:
            return False
        if self.modified_at is None or other.modified_at is None:
            return False
        return self.modified_at < other.modified_at


NOTHING_SEEN = Newest(None, None)


def newest_in(content: StatusContent, observed_at: datetime) -> Newest:
    """Return the values of one response."""
    modified_at = content.fields.modified_at
    if modified_at is not None and not EARLIEST_PLAUSIBLE <= modified_at <= observed_at + _MOST_AHEAD:
        modified_at = None
    return Newest(finished_runs(content.body.value["status"]), modified_at)


def newer_of(one: Newest, other: Newest) -> Newest:
    """Return the higher of each value."""
    finished, modified_at = one.finished, one.modified_at
    if finished is None or (other.finished is not None and other.finished > finished):
        finished = other.finished
    if modified_at is None or (other.modified_at is not None and other.modified_at > modified_at):
        modified_at = other.modified_at
    return Newest(finished, modified_at)
