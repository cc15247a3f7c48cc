"""Read when shares of the runs of many episodes had finished."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from sqlalchemy import Connection, func, select

from recorder.completion.milestone_times import MilestoneTimes
from recorder.store.dialects.functions import seconds_between
from recorder.store.durations import SEEN_AT, WITH_WATCHES, Selection, conditions_of, with_label
from recorder.store.tables import episodes, milestones

MOST_EPISODES = 2000
"""Of how many episodes of a selection, the newest ones, the milestones are read."""


def milestone_times(connection: Connection, selection: Selection) -> Mapping[str | None, MilestoneTimes]:
    """Return the milestones of the newest episodes of a selection, by the mark of the label to group by.

    There are none if the selection measures from the creation of groups: milestones are times since the start
    of an episode.
    """
    if selection.since_created:
        return {}
    table, value = with_label(WITH_WATCHES, selection.group_by)
    until_seen = seconds_between(episodes.c.started_at, SEEN_AT)
    lasted = func.coalesce(episodes.c.duration_seconds, until_seen).label("lasted")
    columns = (episodes.c.taskgroup_id, episodes.c.number, lasted, value.label("value"))
    newest = select(*columns).select_from(table).where(*conditions_of(episodes, selection))
    chosen = newest.order_by(episodes.c.started_at.desc()).limit(MOST_EPISODES).subquery()
    mine = (milestones.c.taskgroup_id == chosen.c.taskgroup_id) & (milestones.c.episode == chosen.c.number)
    # Shares of an unknown number of runs are neither reached nor not.
    mine &= milestones.c.runs.is_not(None)
    found = select(chosen.c.value, milestones.c.fraction, milestones.c.seconds, chosen.c.lasted)
    times: defaultdict[str | None, MilestoneTimes] = defaultdict(MilestoneTimes)
    for mark, fraction, seconds, length in connection.execute(found.join(milestones, mine)):
        times[mark].add(fraction, seconds, length)
    return times
