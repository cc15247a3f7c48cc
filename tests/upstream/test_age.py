"""The age of an answer from a cache, and how the recorder asks caches for a fresh one."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from recorder.ledger.poll_outcome import Failure, Observation
from recorder.upstream.age import MAX_AGE_SECONDS
from recorder.upstream.interpret import Exchange, ReceivedResponse, interpret
from tests.support.stub_server import RawServer, Reply
from tests.upstream.clients import NOON, outcome_of, with_server

BODY = b'{"taskgroup_id":"tgrp_1","status":{}}'
ASKED = NOON + timedelta(seconds=99)
RECEIVED = NOON + timedelta(seconds=100)


def _answer(*lines: str, status: str = "200 OK") -> Reply:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", f"Content-Length: {len(BODY)}", *lines))
    return Reply(f"{head}\r\n".encode() + BODY)


def _seen(age: str | None) -> Observation:
    headers = {} if age is None else {"age": age}
    response = ReceivedResponse(200, "OK", headers, BODY)
    outcome = interpret(Exchange(ASKED, RECEIVED, response, None), "secret")
    assert isinstance(outcome, Observation)
    return outcome


def _after_noon(moment: datetime) -> float:
    return (moment - NOON).total_seconds()


def test_a_request_asks_caches_for_a_fresh_answer() -> None:
    async def scenario(server: RawServer, upstream: object) -> None:
        await upstream.poll("g")  # type: ignore[attr-defined]
        assert b"\r\nCache-Control: no-cache\r\n".lower() in server.requests[0].lower()

    with_server(scenario, _answer())


@pytest.mark.parametrize(
    ("age", "observed", "asked"),
    [
        pytest.param(None, 100, 99, id="absent"),
        pytest.param("0", 100, 99, id="zero"),
        pytest.param("1", 99, 99, id="given when it was asked for"),
        pytest.param("2", 98, 97, id="given before it was asked for"),
        pytest.param("60", 40, 39, id="a minute"),
        pytest.param(" 60 ", 40, 39, id="with spaces"),
        pytest.param("060", 40, 39, id="with a leading zero"),
        pytest.param("60, 5", 40, 39, id="several: the first counts"),
        pytest.param("600", -500, -501, id="before the group was watched"),
    ],
)
def test_an_answer_is_seen_as_of_when_it_was_given(age: str | None, observed: float, asked: float) -> None:
    seen = _seen(age)
    assert _after_noon(seen.observed_at) == observed
    assert _after_noon(seen.last_asked_at) == asked
    assert (seen.asked_at, seen.received_at) == (ASKED, RECEIVED)


@pytest.mark.parametrize(
    "age", ["", "-5", "+5", "5.5", "5s", "five", "٣", "0x10", "1e3", ", 5", "sixty, 5", "Thu, 01 Jan"]
)
def test_a_malformed_age_is_ignored(age: str) -> None:
    assert _seen(age).observed_at == RECEIVED


@pytest.mark.parametrize("age", ["2147483649", "9" * 40, "9" * 5000])
def test_an_age_has_an_upper_limit(age: str) -> None:
    assert _seen(age).observed_at == RECEIVED - timedelta(seconds=MAX_AGE_SECONDS)


@pytest.mark.parametrize("line", ["Age: 7", "AGE:7", "Age: 7\r\nAge: 3"])
def test_the_age_is_read_from_the_head_of_a_response(line: str) -> None:
    outcome = outcome_of(_answer(line))
    assert isinstance(outcome, Observation)
    assert _after_noon(outcome.observed_at) == -7


def test_other_headers_about_time_do_not_count() -> None:
    outcome = outcome_of(
        _answer('Warning: 110 - "Response is Stale"', "Date: Tue, 24 Nov 2026 11:00:00 GMT", "X-Cache: HIT")
    )
    assert isinstance(outcome, Observation)
    assert outcome.observed_at == NOON


def test_the_age_of_an_error_does_not_matter() -> None:
    outcome = outcome_of(_answer("Age: 60", status="404 Not Found"))
    assert isinstance(outcome, Failure)
    assert outcome.ended_at == NOON
