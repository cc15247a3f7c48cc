"""Read how long the groups that finished last took, of all cohorts at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select

from recorder.store.derived import key_mark
from recorder.store.tables import episodes, group_labels

NEWEST = 5000
"""How many completed episodes are read, the ones that started last."""


def durations_by_label(
    connection: Connection, key: str | None, newest: int = NEWEST
) -> Mapping[str | None, Sequence[float]]:
    """Return the seconds that the `newest` completed episodes took, in ascending order.

    They are by the mark of the value that `key` has in their group's metadata; None is for those without it,
    or for all of them without a key. Open episodes are left out, so ends look a little nearer than they are.
    """
    recent = (
        select(episodes.c.taskgroup_id, episodes.c.duration_seconds)
        .where(episodes.c.completed_at.is_not(None))
        .order_by(episodes.c.started_at.desc())
        .limit(newest)
        .subquery()
    )
    statement = select(recent.c.duration_seconds)
    if key is not None:
        labels = group_labels.alias()
        labelled = (labels.c.taskgroup_id == recent.c.taskgroup_id) & (labels.c.key == key_mark(key))
        statement = statement.add_columns(labels.c.value).select_from(recent.outerjoin(labels, labelled))
    found: defaultdict[str | None, list[float]] = defaultdict(list)
    for seconds, *value in connection.execute(statement):
        found[value[0] if value else None].append(seconds)
    return {value: sorted(durations) for value, durations in found.items()}
