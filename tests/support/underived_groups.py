"""Groups whose derived rows are as an upgrade finds them."""

from __future__ import annotations

from sqlalchemy import Engine, delete, update

from recorder.completion.summary import SUMMARY_RULES
from recorder.store.tables import episodes, group_labels, summaries
from recorder.store.transactions import writing
from tests.support.recording import Recording, active, settled

GROUPS = [f"tgrp_{number}" for number in range(5)]


def record_groups(engine: Engine) -> None:
    """Five groups with metadata: settled ones, the last one active, and one of an older rule's episodes."""
    recording = Recording(engine)
    for number, group in enumerate(GROUPS):
        recording.watch(group, number)
        recording.see(group, 10 + number, active(running=2), metadata={"batch": number % 2})
        if group != GROUPS[-1]:
            recording.see(group, 20 + number, settled(completed=2), metadata={"batch": number % 2})


def make_older(engine: Engine) -> None:
    """Change what is derived as an upgrade finds it: of older rules, and of groups that have no summary."""
    with writing(engine) as connection:
        connection.execute(update(summaries).values(rules=SUMMARY_RULES - 1, summary="of older rules"))
        connection.execute(delete(summaries).where(summaries.c.taskgroup_id == GROUPS[1]))
        connection.execute(update(episodes).values(number=7))
        connection.execute(delete(group_labels))
