"""When the upstream counts as down, for all recorders together."""

from __future__ import annotations

from datetime import timedelta

import pytest

from recorder.ledger.poll_outcome import Cause, Failure, Observation, PollOutcome
from recorder.notify.upstream import UpstreamReport, UpstreamState, judge
from tests.support.ledgers import body, time

WINDOW = timedelta(seconds=30)


def failed(at: float, cause: Cause = Cause.SERVER_ERROR) -> Failure:
    return Failure(time(at), time(at), cause, 503, "busy")


def answered(at: float) -> Observation:
    return Observation(time(at), time(at), body(running=1))


class Recorders:
    """Recorders that report to one state."""

    def __init__(self) -> None:
        self.state = UpstreamState()
        self.told: list[tuple[float, str, str]] = []

    def report(
        self, at: float, *outcomes: PollOutcome, rejected: bool = False, missing_together: bool = False
    ) -> None:
        report = UpstreamReport(rejected=rejected)
        for outcome in outcomes:
            report = report.with_outcome(outcome, missing_together=missing_together)
        self.state, events = judge(self.state, report, time(at), WINDOW)
        self.told += [(at, event.type.value, event.subject) for event in events]


@pytest.fixture
def recorders() -> Recorders:
    return Recorders()


def test_an_outage_is_told_once_and_so_is_its_end(recorders: Recorders) -> None:
    for at in range(0, 100, 10):
        recorders.report(at, failed(at), failed(at))
    recorders.report(101)
    assert recorders.told == [(40, "upstream.down", "1")]
    recorders.report(110, failed(110), answered(110))
    recorders.report(120, answered(120))
    assert recorders.told[1:] == [(110, "upstream.up", "1")]
    for at in (130, 140, 200):
        recorders.report(at, failed(at))
    assert recorders.told[2:] == [(200, "upstream.down", "2")]


def test_groups_that_are_missing_together_are_an_outage_and_one_alone_is_none(recorders: Recorders) -> None:
    for at in range(0, 100, 10):
        recorders.report(at, failed(at, Cause.NOT_FOUND))
    assert recorders.told == []
    for at in range(100, 200, 10):
        recorders.report(at, failed(at, Cause.NOT_FOUND), missing_together=True)
    recorders.report(200, answered(200))
    assert recorders.told == [(140, "upstream.down", "1"), (200, "upstream.up", "1")]


def test_the_upstream_is_not_down_while_another_recorder_has_responses(recorders: Recorders) -> None:
    for at in range(0, 200, 20):
        recorders.report(at, failed(at))
        recorders.report(at + 10, answered(at + 10))
    assert recorders.told == []


def test_time_alone_is_no_outage(recorders: Recorders) -> None:
    recorders.report(0, failed(0))
    recorders.report(3600)
    assert recorders.told == []


@pytest.mark.parametrize("cause", [Cause.NOT_FOUND, Cause.UNAUTHORIZED])
def test_an_upstream_that_refuses_is_not_down(recorders: Recorders, cause: Cause) -> None:
    recorders.report(0, failed(0))
    for at in range(10, 100, 10):
        recorders.report(at, failed(at, cause))
    recorders.report(100, failed(100))
    assert recorders.told == []


def test_a_refused_key_is_not_the_end_of_an_outage(recorders: Recorders) -> None:
    recorders.report(0, failed(0))
    recorders.report(40, failed(40))
    recorders.report(50, failed(50, Cause.UNAUTHORIZED))
    assert [kind for _, kind, _ in recorders.told] == ["upstream.down"]


def test_a_rejected_key_is_told_once_until_it_is_accepted(recorders: Recorders) -> None:
    for at in (0, 10):
        recorders.report(at, failed(at, Cause.UNAUTHORIZED), rejected=True)
    recorders.report(20, answered(20))
    recorders.report(30, failed(30, Cause.UNAUTHORIZED), rejected=True)
    assert recorders.told == [(0, "key.rejected", "1"), (30, "key.rejected", "2")]
