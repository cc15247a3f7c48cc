"""What has become of a group, for those who wait for it."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Any

from recorder.ledger.status_fields import Phase
from recorder.ledger.watch import WatchState

_ENDED = {WatchState.STOPPED, WatchState.GONE, WatchState.RETIRED}
_UNSUCCESSFUL = ("failed", "cancelled")


class GroupOutcome(StrEnum):
    """What has become of a group."""

    UNDER_WAY = "under_way"
    INCOMPLETE = "incomplete"
    """Settled, but with fewer runs than expected; they may still be added."""
    BLOCKED = "blocked"
    COMPLETED = "completed"
    UNSUCCESSFUL = "unsuccessful"
    """Settled, and some run failed or was cancelled."""
    SHORT = "short"
    """Settled, and the runs that are missing did not come in time."""
    ENDED = "ended"
    """No longer watched, before it had settled."""


UNDECIDED = {GroupOutcome.UNDER_WAY, GroupOutcome.INCOMPLETE}
"""The outcomes to wait on."""

EXIT_STATUSES = {
    GroupOutcome.ENDED: 5,
    GroupOutcome.BLOCKED: 4,
    GroupOutcome.SHORT: 7,
    GroupOutcome.INCOMPLETE: 7,
    GroupOutcome.UNSUCCESSFUL: 3,
    GroupOutcome.UNDER_WAY: 6,
    GroupOutcome.COMPLETED: 0,
}
"""The exit status for each outcome at the end of waiting, the worst first."""


def outcome_of(group: dict[str, Any], settled_seconds: float, gap_window_seconds: float) -> GroupOutcome:
    """Return what has become of a group, given its body as in the API.

    `settled_seconds` is for how long its status has been the same. After `gap_window_seconds`, runs that are
    missing from a settled group are taken not to come any more.
    """
    watched = WatchState(group["state"]) not in _ENDED
    if group["phase"] != Phase.SETTLED:
        if not watched:
            return GroupOutcome.ENDED
        return GroupOutcome.BLOCKED if group["phase"] == Phase.BLOCKED else GroupOutcome.UNDER_WAY
    if group.get("arrived") is False:
        waits = watched and settled_seconds < gap_window_seconds
        return GroupOutcome.INCOMPLETE if waits else GroupOutcome.SHORT
    counts = group["status"]["task_run_status_counts"]
    return GroupOutcome.UNSUCCESSFUL if any(map(counts.get, _UNSUCCESSFUL)) else GroupOutcome.COMPLETED


def exit_status(outcomes: Collection[GroupOutcome], *, first: bool) -> int | None:
    """Return the exit status once there is nothing more to wait for, None until then.

    With `first`, the first group whose outcome is decided is enough, and the status is that of those decided.
    """
    decided = [outcome for outcome in outcomes if outcome not in UNDECIDED]
    if len(decided) == len(outcomes) or (first and decided):
        return worst_status(decided)
    return None


def worst_status(outcomes: Collection[GroupOutcome]) -> int:
    """Return the exit status of the worst of the outcomes."""
    return next(status for outcome, status in EXIT_STATUSES.items() if outcome in outcomes)
