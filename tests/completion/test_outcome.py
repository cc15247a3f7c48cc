"""What has become of a group, and the exit status of whoever waits for several."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from recorder.completion.outcome import GroupOutcome, exit_status, outcome_of, worst_status

WINDOW = 30.0
(UNDER_WAY, INCOMPLETE, BLOCKED, COMPLETED, UNSUCCESSFUL, SHORT, ENDED) = GroupOutcome


def group(state: str, phase: str | None, arrived: bool | None = None, **counts: Any) -> dict[str, Any]:
    status = None if phase is None else {"task_run_status_counts": counts}
    return {"state": state, "phase": phase, "status": status, "arrived": arrived}


TABLE = [
    (group("watching", None), UNDER_WAY),
    (group("watching", "empty"), UNDER_WAY),
    (group("watching", "unclear", completed="many"), UNDER_WAY),
    (group("watching", "active", running=1, failed=3), UNDER_WAY),
    (group("paused", "active", running=1), UNDER_WAY),
    (group("watching", "blocked", action_required=1), BLOCKED),
    (group("paused", "blocked", action_required=1), BLOCKED),
    (group("watching", "settled", completed=2), COMPLETED),
    (group("watching", "settled", arrived=True, completed=2, failed=0, cancelled=None), COMPLETED),
    (group("watching", "settled", completed=2, failed=1), UNSUCCESSFUL),
    (group("watching", "settled", completed=2, cancelled=1), UNSUCCESSFUL),
    (group("watching", "settled", arrived=False, completed=1, failed=1), INCOMPLETE),
    (group("paused", "settled", arrived=False, completed=1), INCOMPLETE),
    (group("watching", "active", arrived=False, running=1), UNDER_WAY),
]
TABLE += [
    (group(state, *rest, **counts), outcome)
    for state in ("stopped", "gone", "retired")
    for rest, counts, outcome in (
        ((None,), {}, ENDED),
        (("active",), {"running": 1}, ENDED),
        (("blocked",), {"action_required": 1}, ENDED),
        (("settled",), {"completed": 1}, COMPLETED),
        (("settled",), {"failed": 1}, UNSUCCESSFUL),
        (("settled", False), {"completed": 1}, SHORT),
    )
]


@pytest.mark.parametrize(("body", "outcome"), TABLE)
def test_the_outcome_of_a_group(body: dict[str, Any], outcome: GroupOutcome) -> None:
    assert outcome_of(body, WINDOW - 0.1, WINDOW) is outcome
    later = SHORT if outcome is INCOMPLETE else outcome
    assert outcome_of(body, WINDOW, WINDOW) is later


def test_a_body_that_says_nothing_of_expectations_is_not_short() -> None:
    body = group("watching", "settled", completed=1)
    del body["arrived"]
    assert outcome_of(body, WINDOW, WINDOW) is COMPLETED


def test_the_worst_of_several_counts() -> None:
    statuses = {ENDED: 5, BLOCKED: 4, SHORT: 7, INCOMPLETE: 7, UNSUCCESSFUL: 3, UNDER_WAY: 6, COMPLETED: 0}
    order = [5, 4, 7, 3, 6, 0]
    for pair in permutations(GroupOutcome, 2):
        assert worst_status(pair) == min((statuses[one] for one in pair), key=order.index)


WAITING: list[tuple[list[GroupOutcome], int | None, int | None]] = [
    ([COMPLETED], 0, 0),
    ([UNDER_WAY], None, None),
    ([INCOMPLETE], None, None),
    ([COMPLETED, UNDER_WAY], None, 0),
    ([UNSUCCESSFUL, UNDER_WAY, COMPLETED], None, 3),
    ([COMPLETED, BLOCKED, UNSUCCESSFUL], 4, 4),
    ([SHORT, COMPLETED], 7, 7),
    ([INCOMPLETE, ENDED], None, 5),
]


@pytest.mark.parametrize(("outcomes", "all_of_them", "any_of_them"), WAITING)
def test_when_the_waiting_is_over(
    outcomes: list[GroupOutcome], all_of_them: int | None, any_of_them: int | None
) -> None:
    assert exit_status(outcomes, first=False) == all_of_them
    assert exit_status(outcomes, first=True) == any_of_them
