"""Groups that are not found: so many together are the upstream's doing."""

from __future__ import annotations

import pytest

from recorder.ledger.failure_run import NO_FAILURES, FailureRun
from recorder.ledger.missing_groups import NONE_MISSING, MissingGroups, half_missing_since, is_missing
from recorder.ledger.poll_outcome import Cause, Failure
from tests.support.bodies import moment

CASES = [
    # missing, answered, together
    (0, 0, False),
    (0, 9, False),
    (1, 0, False),  # alone: the group may be gone
    (1, 1, False),
    (2, 0, True),
    (2, 1, False),
    (4, 0, True),
    (4, 1, False),
    (5, 0, True),
    (5, 4, True),
    (5, 5, False),
    (6, 5, True),
    (500, 499, True),
    (500, 500, False),
]


@pytest.mark.parametrize(("missing", "answered", "together"), CASES)
def test_more_than_half_and_at_least_five_or_all_of_fewer(
    missing: int, answered: int, together: bool
) -> None:
    assert MissingGroups(missing, answered).together is together


def _run(*causes: Cause, since: float = 0) -> FailureRun:
    run = NO_FAILURES
    for number, cause in enumerate(causes):
        at = moment(since + number)
        run = run.add(Failure(at, at, cause, 404, "no"), 0.0)
    return run


def test_a_group_is_missing_after_two_misses_in_a_row() -> None:
    miss, other = Cause.NOT_FOUND, Cause.SERVER_ERROR
    assert not is_missing(_run())
    assert not is_missing(_run(miss))
    assert is_missing(_run(miss, miss))
    assert not is_missing(_run(miss, miss, other))
    assert not is_missing(_run(miss, other, miss))
    assert is_missing(_run(other, miss, miss))


def test_others_are_counted_since_half_of_the_groups_were_first_not_found() -> None:
    runs = [_run(Cause.NOT_FOUND, since=seconds) for seconds in (700, 5, 701, 702)]
    assert half_missing_since(runs) == moment(700)
    assert half_missing_since(runs[:2]) == moment(5)
    assert half_missing_since(runs[:1]) == moment(700)
    assert half_missing_since([]) is NONE_MISSING.since is None
