"""Estimate when groups will be done, from their own pace and from episodes of similar groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from recorder.completion.eta import CohortDurations, Estimate, NoEstimate, estimate, eta_members
from recorder.completion.labels import label_text
from recorder.completion.summary import Summary, work_so_far
from recorder.ledger.status_fields import Phase
from recorder.store.data_cache import kept
from recorder.store.derived import find_summaries
from recorder.store.groups import GroupItem


def etas_of(
    connection: Connection, groups: Sequence[GroupItem], cohort_key: str | None
) -> dict[str, dict[str, Any]]:
    """Return the estimate for each of `groups`, by group id; null with a reason where there is none.

    Groups with the same value of `cohort_key` in their metadata are one cohort; without it, all groups are.
    """
    active = [group.watch.taskgroup_id for group in groups if _phase(group) is Phase.ACTIVE]
    summaries = find_summaries(connection, active)
    cohorts = _Cohorts(connection, cohort_key)
    return {
        group.watch.taskgroup_id: eta_members(_eta(group, summaries.get(group.watch.taskgroup_id), cohorts))
        for group in groups
    }


def eta_of(connection: Connection, group: GroupItem, cohort_key: str | None) -> dict[str, Any]:
    """Return the estimate for one group, as `etas_of` does for several."""
    return etas_of(connection, [group], cohort_key)[group.watch.taskgroup_id]


class _Cohorts:
    """The recent episodes of each cohort, read when a group of it first needs them."""

    def __init__(self, connection: Connection, key: str | None) -> None:
        self._connection = connection
        self._key = None if key is None else label_text(key)
        self._curves: dict[tuple[str, str] | None, CohortDurations] = {}

    def of(self, summary: Summary) -> CohortDurations | None:
        """Return the cohort of a group, None if the group lacks the label that defines cohorts."""
        label = None
        if self._key is not None:
            value = dict(summary.labels).get(self._key)
            if value is None:
                return None
            label = self._key, value
        if label not in self._curves:
            connection = self._connection
            self._curves[label] = kept(connection, ("cohort", label), lambda: _curve(connection, label))
        return self._curves[label]


def _curve(connection: Connection, label: tuple[str, str] | None) -> CohortDurations:
    # NumPy is slow to import, and most commands that read need no cohort.
    from recorder.completion.cohort import CohortCurve  # noqa: PLC0415
    from recorder.store.durations import recent_durations  # noqa: PLC0415

    durations = recent_durations(connection, label)
    return CohortCurve.of(durations.seconds, ~durations.censored)


def _eta(group: GroupItem, summary: Summary | None, cohorts: _Cohorts) -> Estimate | NoEstimate:
    phase = _phase(group)
    if phase is None:
        return NoEstimate("the group was never seen")
    if phase is not Phase.ACTIVE:
        return NoEstimate(f"the group is not active but {phase}")
    work = None if summary is None else work_so_far(summary, group.watch.open)
    if summary is None or work is None:
        return NoEstimate("the group has no summary; recorder db rebuild makes it")
    return estimate(work, cohorts.of(summary))


def _phase(group: GroupItem) -> Phase | None:
    return None if group.latest is None else group.latest.phase
