"""Estimate when groups will be done, from their own pace and from episodes of similar groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from recorder.completion.eta import CohortDurations, Estimate, NoEstimate, estimate, eta_members
from recorder.completion.labels import label_text
from recorder.completion.summary import Standing, work_so_far
from recorder.ledger.status_fields import Phase
from recorder.store.data_cache import kept
from recorder.store.derived import find_standings
from recorder.store.groups import GroupItem
from recorder.store.underived import deriving


def etas_of(
    connection: Connection, groups: Sequence[GroupItem], cohort_key: str | None
) -> dict[str, dict[str, Any]]:
    """Return the estimate for each of `groups`, by group id; null with a reason where there is none.

    Groups with the same value of `cohort_key` in their metadata are one cohort; without it, all groups are.
    """
    active = [group.watch.taskgroup_id for group in groups if _phase(group) is Phase.ACTIVE]
    standings = find_standings(connection, active)
    cohorts = _Cohorts(connection, cohort_key)
    if active and deriving(connection) is not None:
        # Without the episodes of the others, an estimate would look as good as any other, and not be.
        standings = {}
    return {
        group.watch.taskgroup_id: eta_members(_eta(group, standings.get(group.watch.taskgroup_id), cohorts))
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

    def of(self, standing: Standing) -> CohortDurations | None:
        """Return the cohort of a group, None if the group lacks the label that defines cohorts."""
        label = None
        if self._key is not None:
            value = dict(standing.labels).get(self._key)
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

    return CohortCurve.of(*recent_durations(connection, label))


def _eta(group: GroupItem, standing: Standing | None, cohorts: _Cohorts) -> Estimate | NoEstimate:
    phase = _phase(group)
    if phase is None:
        return NoEstimate("the group was never seen")
    if phase is not Phase.ACTIVE:
        return NoEstimate(f"the group is not active but {phase}")
    if standing is None:
        return NoEstimate("completion is being derived anew after an upgrade")
    return estimate(work_so_far(standing, group.watch.open), cohorts.of(standing))


def _phase(group: GroupItem) -> Phase | None:
    return None if group.latest is None else group.latest.phase
