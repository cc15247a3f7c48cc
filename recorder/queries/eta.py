"""When groups will be done, each by its own pace and by what is known of those alike."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import Connection

from recorder.completion.eta import CohortCurve, Estimate, NoEstimate, estimate, eta_members
from recorder.completion.labels import label_text
from recorder.completion.summary import Summary, work_so_far
from recorder.ledger.entries import Interval
from recorder.ledger.status_fields import Phase
from recorder.store.derived import find_summaries
from recorder.store.durations import recent_durations
from recorder.store.groups import GroupItem


def etas_of(
    connection: Connection, groups: Sequence[GroupItem], cohort_key: str | None
) -> dict[str, dict[str, Any]]:
    """Return when each of `groups` will be settled, by their ids; null with a reason where nobody can tell.

    Groups with the same value of `cohort_key` in their metadata are alike; without it all are.
    """
    active = [group.watch.taskgroup_id for group in groups if _phase(group) is Phase.ACTIVE]
    summaries = find_summaries(connection, active)
    cohorts = _Cohorts(connection, cohort_key)
    return {
        group.watch.taskgroup_id: eta_members(_eta(group, summaries.get(group.watch.taskgroup_id), cohorts))
        for group in groups
    }


def eta_of(connection: Connection, group: GroupItem, cohort_key: str | None) -> dict[str, Any]:
    """Return when a group will be settled, as `etas_of` does for several."""
    return etas_of(connection, [group], cohort_key)[group.watch.taskgroup_id]


class _Cohorts:
    """Recent episodes by the label that makes groups alike; read once, and only if they are asked for."""

    def __init__(self, connection: Connection, key: str | None) -> None:
        self._connection = connection
        self._key = key
        self._made: dict[str | None, CohortCurve] = {}

    def of(self, summary: Summary) -> CohortCurve | None:
        """Return the cohort of a group, None if it has no label to be alike by."""
        value = None
        if self._key is not None:
            value = dict(summary.labels).get(label_text(self._key))
            if value is None:
                return None
        if value not in self._made:
            durations = self._durations[value]
            self._made[value] = CohortCurve.of(durations.seconds, ~durations.censored)
        return self._made[value]

    @cached_property
    def _durations(self) -> Any:
        return recent_durations(self._connection, self._key)


def _eta(group: GroupItem, summary: Summary | None, cohorts: _Cohorts) -> Estimate | NoEstimate:
    phase = _phase(group)
    if phase is None:
        return NoEstimate("the group was never seen")
    if phase is not Phase.ACTIVE:
        return NoEstimate(f"the group is not active but {phase}")
    opened: Interval | None = group.watch.open
    standing = None if summary is None else work_so_far(summary, opened)
    if summary is None or standing is None:
        return NoEstimate("the group is not summed up; recorder db rebuild does it")
    return estimate(standing, cohorts.of(summary))


def _phase(group: GroupItem) -> Phase | None:
    return None if group.latest is None else group.latest.phase
