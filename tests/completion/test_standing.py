"""What a list of groups reads of a stored summary says the same as the whole summary."""

from __future__ import annotations

import json

from recorder.completion.episodes import extend_to_last_seen
from recorder.completion.eta import WorkSoFar
from recorder.completion.summary import NOTHING, advance_summary, standing_in, work_so_far
from recorder.ledger.status_fields import Phase
from recorder.store.derived import summary_row
from tests.support.audit_ledgers import random_ledgers

GROUPS, ENTRIES = 25, 40


def test_the_progress_of_open_episodes_is_read_from_a_part_of_the_summary() -> None:
    found = 0
    for ledger in random_ledgers(8, GROUPS, ENTRIES, oddity=0.2, trouble=0.2):
        summary = NOTHING
        for entry, following in zip(ledger.entries, [*ledger.entries[1:], None], strict=True):
            summary, _ = advance_summary(summary, entry)
            standing = standing_in(json.loads(summary_row("one", summary)["summary"]))
            interval = ledger.watch.open if following is None else following.previous
            state = extend_to_last_seen(summary.work, interval)
            if state.opened is None or state.sight is None:
                assert standing is None
                continue
            assert standing is not None and standing.labels == summary.labels
            is_blocked = state.sight.phase is Phase.BLOCKED
            work = WorkSoFar(state.opened.started.at, state.sight.last_seen_at, summary.pace, is_blocked)
            assert work_so_far(standing, interval) == work
            found += 1
    assert found > GROUPS * ENTRIES / 4
