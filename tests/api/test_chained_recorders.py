"""A recorder that polls the provider's routes of another one's API sees what that one saw, and when."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from flask.testing import FlaskClient

from recorder.ledger.cached_answer import stale_failure
from recorder.ledger.entries import Gap
from recorder.ledger.poll_outcome import Cause, Observation
from recorder.upstream.interpret import Exchange, ReceivedResponse, interpret
from tests.support.api_client import Clock
from tests.support.bodies import moment
from tests.support.recording import Recording, active, after
from tests.support.stories import Story

GROUP = "tgrp_1"
EXACT = timedelta(seconds=1)
"""Ages are whole seconds."""


class Second(Story):
    """The ledger of the second recorder, which polls the first one's API."""

    def __init__(self, flask_client: FlaskClient, clock: Clock) -> None:
        super().__init__()
        self._client = flask_client
        self._clock = clock

    def poll(self, at: float) -> Cause | None:
        """Poll at `at` seconds after noon; return the cause if the poll fails."""
        self._clock.seconds = at
        answer = self._client.get(f"/v1beta/tasks/groups/{GROUP}")
        headers = {name.lower(): value for name, value in answer.headers.items()}
        response = ReceivedResponse(answer.status_code, "OK", headers, answer.get_data())
        seen = interpret(Exchange(moment(at), moment(at), response, None), "secret")
        if isinstance(seen, Observation):
            failure = stale_failure(self.watch, seen)
            if failure is None:
                self.answer(at, seen.body, age=seen.age.total_seconds())
                return None
            seen = failure
        self.fail(at, seen.cause, http_status=seen.http_status, detail=seen.detail)
        return seen.cause

    @property
    def last_seen_at(self) -> datetime:
        assert self.watch.open is not None
        return self.watch.open.last_seen_at


@pytest.fixture
def second(flask_client: FlaskClient, clock: Clock) -> Second:
    return Second(flask_client, clock)


def test_the_second_sees_what_the_first_saw_when_it_saw_it(recording: Recording, second: Second) -> None:
    recording.watch(GROUP)
    assert second.poll(0.5) is Cause.SERVER_ERROR
    for number, at in enumerate((1, 10, 20, 30)):
        recording.see(GROUP, at, active(running=5 - number, completed=number))
        assert second.poll(at + 4.5) is None
        assert timedelta() <= second.last_seen_at - after(at) < EXACT
    assert [status.anomalies for status in second.statuses] == [()] * 4
    assert second.gaps == []


def test_when_the_first_ends_the_second_sees_nothing_more(recording: Recording, second: Second) -> None:
    recording.watch(GROUP)
    recording.see(GROUP, 1, active(running=5))
    assert second.poll(2.25) is None
    causes = [second.poll(12.25 + 5.1 * number) for number in range(21)]
    assert causes == [Cause.STALE] * 21
    assert second.last_seen_at - after(1) < EXACT
    recording.see(GROUP, 120, active(running=5))
    assert second.poll(121.5) is None
    (gap,) = [entry.content for entry in second.entries if isinstance(entry.content, Gap)]
    assert (gap.cause, gap.attempts) == (Cause.STALE, 21)
    assert gap.to is not None
    assert gap.from_ - after(1) < EXACT
    assert timedelta() <= gap.to - after(120) < EXACT
