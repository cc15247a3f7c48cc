"""The state of groups that somebody waits for, read again and again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from recorder.completion.outcome import GroupOutcome, outcome_of
from recorder.ledger.timestamps import parse_time
from recorder.queries.eta import etas_of
from recorder.queries.groups import group_body
from recorder.store.groups import GroupItem, find_groups


@dataclass(slots=True)
class AwaitedGroups:
    """Groups by id, each with its body as in the API (None: not in the database), as of the last `read`.

    `cohort_key` is that of `list_page`; `gap_window_seconds` that of `outcome_of`.
    """

    ids: Sequence[str]
    cohort_key: str | None
    gap_window_seconds: float
    bodies: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    outcomes: dict[str, GroupOutcome] = field(default_factory=dict)
    _versions: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def read(self, connection: Connection, now: datetime) -> None:
        """Read the groups; only those that have changed cost more than their rows."""
        found = find_groups(connection, self.ids)
        versions = {one: _version(group) for one, group in found.items()}
        changed = [group for one, group in found.items() if versions[one] != self._versions.get(one)]
        etas = etas_of(connection, changed, self.cohort_key) if changed else {}
        for group in changed:
            taskgroup_id = group.watch.taskgroup_id
            self.bodies[taskgroup_id] = group_body(group, etas[taskgroup_id], now)
        self.bodies |= dict.fromkeys((one for one in self.ids if one not in found), None)
        self._versions = versions
        self.outcomes = {one: self._outcome(self.bodies[one], now) for one in self.ids}

    def _outcome(self, body: dict[str, Any] | None, now: datetime) -> GroupOutcome:
        if body is None:
            return GroupOutcome.ENDED
        since = body["observed_at"]
        settled_seconds = 0.0 if since is None else (now - parse_time(since)).total_seconds()
        return outcome_of(body, settled_seconds, self.gap_window_seconds)


def _version(group: GroupItem) -> tuple[Any, ...]:
    """Return what changes whenever the group's body does."""
    return group.watch.head.seq, group.watch.state, group.watch.open
