"""Tell the ends of many ledgers that were lost together from damage to single ledgers."""

from __future__ import annotations

from collections.abc import Iterable

from recorder.audit.verify.findings import Finding

FEWEST_GROUPS = 5
"""With fewer groups than this, each is reported on its own."""


def lost_ends(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings of groups with which nothing is wrong but that they end before their heads in a
    checkpoint, or reach them with other entries; none if they are only a few.

    After a failover to a standby that lacked the newest transactions, and after a restore from a backup that
    is older than the checkpoint, these are the groups that were recorded in between.
    """
    by_group: dict[str, list[Finding]] = {}
    for finding in findings:
        by_group.setdefault(finding.taskgroup_id, []).append(finding)
    lost = [found for found in by_group.values() if all(finding.is_lost_end for finding in found)]
    return [finding for found in lost for finding in found] if len(lost) >= FEWEST_GROUPS else []
