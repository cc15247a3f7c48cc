"""Times of the provider that cannot be true are marked, and no moment is made of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recorder.completion.summary import NOTHING, summarize
from recorder.ledger.entries import StatusContent
from recorder.ledger.response_body import ResponseBody, parse_body
from recorder.ledger.timestamps import format_time
from tests.support.ledgers import Ledger, body, in_seconds, time

ABSURD = ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1999-12-31T23:59:59.999999Z"]


def _with(created: str | None = None, modified: str | None = None, **counts: Any) -> ResponseBody:
    value = body(**counts).value
    status = {**value["status"], "modified_at": modified}
    return parse_body(json.dumps({**value, "created_at": created, "status": status}).encode())


def _anomalies(ledger: Ledger) -> tuple[str, ...]:
    content = ledger.entries[-1].content
    assert isinstance(content, StatusContent)
    return content.anomalies


def test_a_creation_after_the_observation_is_marked_and_not_used() -> None:
    ledger = Ledger().see(20, body(created=20.000001, running=1))
    assert _anomalies(ledger) == ("bad_timestamp",)
    assert in_seconds(ledger.only().started) == (20, None, 20, "first_sight")


@pytest.mark.parametrize("created", [*ABSURD, "9999-12-31T23:59:59Z"])
def test_a_creation_that_cannot_be_true_is_marked_and_not_used(created: str) -> None:
    ledger = Ledger().see(20, _with(created, running=1))
    assert _anomalies(ledger) == ("bad_timestamp",)
    assert in_seconds(ledger.only().started) == (20, None, 20, "first_sight")
    ledger.see(30, _with(created, completed=1))
    (episode,) = ledger.episodes()
    assert episode.duration_seconds == 4.5
    assert in_seconds(episode.completed) == (24.5, 19, 30, "midpoint")


@pytest.mark.parametrize("created", [-900, 0, 20])
def test_other_creations_are_used(created: float) -> None:
    ledger = Ledger().see(20, body(created=created, running=1))
    assert _anomalies(ledger) == ()
    assert in_seconds(ledger.only().started) == (created, created, 20, "created_at")


@pytest.mark.parametrize("modified", ABSURD)
def test_a_modification_that_cannot_be_true_is_marked_and_not_used(modified: str) -> None:
    ledger = Ledger().see(20, _with(None, modified, completed=1))
    assert _anomalies(ledger) == ("bad_timestamp",)
    assert in_seconds(ledger.only().completed) == (20, None, 20, "first_sight")
    ledger.see(30, _with(None, format_time(time(25)), completed=1, running=1))
    assert _anomalies(ledger) == ()


def test_what_comes_after_an_impossible_modification_is_compared_with_what_came_before_it() -> None:
    ledger = Ledger().see(20, _with(None, format_time(time(15)), completed=5, running=2))
    ledger.see(30, _with(None, ABSURD[0], completed=5, running=1))
    assert _anomalies(ledger) == ("modified_at_regressed", "bad_timestamp")
    ledger.see(40, _with(None, format_time(time(10)), completed=4, running=2))
    assert _anomalies(ledger) == ("counts_decreased", "modified_at_regressed")


def test_a_modification_in_the_future_is_no_moment() -> None:
    """The provider's clock may be ahead of ours."""
    ledger = Ledger().see(20, body(running=1)).see(30, body(modified=35, completed=1))
    assert _anomalies(ledger) == ()
    assert in_seconds(ledger.only().completed) == (24.5, 19, 30, "midpoint")


def test_a_creation_after_the_modification_is_used() -> None:
    ledger = Ledger().see(20, body(created=15, modified=10, running=1))
    assert _anomalies(ledger) == ()
    assert in_seconds(ledger.only().started) == (15, 15, 20, "created_at")


@pytest.mark.parametrize("created", [*ABSURD, "9999-12-31T23:59:59Z"])
def test_statistics_from_the_creation_use_the_newest_one_that_can_be_true(created: str) -> None:
    ledger = Ledger().see(20, body(created=-5, running=1)).see(30, _with(created, running=2))
    assert summarize(NOTHING, ledger.entries)[0].created_at == time(-5)
    content = ledger.entries[-1].content
    assert isinstance(content, StatusContent)
    assert content.fields.created_at is not None
