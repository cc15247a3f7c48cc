"""Groups that were seen before and are not found any more: are they gone, or is that the upstream's doing?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from recorder.ledger.failure_run import FailureRun
from recorder.ledger.value_class import value_class

DOUBTFUL_POLLS = 2
"""A group is missing after this many 404s or 410s in a row."""
MANY_GROUPS = 5


@value_class
class MissingGroups:
    """Watched groups that were seen before and are `missing` now, and how many others have `answered` since.

    `since` is when half of the missing ones were first not found, None if none are missing.
    """

    missing: int = 0
    answered: int = 0
    since: datetime | None = None

    @property
    def together(self) -> bool:
        """Whether so many are missing that it is the upstream's doing, and none of them is gone.

        That is so for more than half of the groups polled since then, if these are at least MANY_GROUPS; if
        fewer are missing, for all of them. A single group says nothing about the upstream.
        """
        if self.missing >= MANY_GROUPS:
            return self.missing > self.answered
        return self.missing > 1 and self.answered == 0


NONE_MISSING = MissingGroups()


def is_missing(run: FailureRun) -> bool:
    """Whether a group that was seen before is missing after these failures."""
    return run.missing_polls >= DOUBTFUL_POLLS


def half_missing_since(runs: Sequence[FailureRun]) -> datetime | None:
    """Return when half of the groups with these failures were first not found, None without groups."""
    times = sorted(run.missing_since for run in runs if run.missing_since is not None)
    return times[(len(times) - 1) // 2] if times else None
