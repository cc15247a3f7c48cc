"""Comparing two stretches of time or two metadata values, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from tests.support.api_client import Client
from tests.support.episode_rows import KEY, add_completed

STATISTICS = "/api/v1/completion"
EARLY, LATE = "2026-11-24T12:00:00Z", "2026-11-25T12:00:00Z"


@pytest.fixture
def recorded(engine: Engine) -> None:
    """Twenty slow groups of one kind on one day, and thirty fast ones of another on the next."""
    add_completed(engine, "tgrp_slow_", "slow", [(number, 100 + number) for number in range(20)])
    add_completed(engine, "tgrp_fast_", "fast", [(86400 + number, 10 + number) for number in range(30)])


def test_two_stretches_of_time(client: Client, recorded: None) -> None:
    body = client.get(f"{STATISTICS}?compare=time&from={LATE}&than_from={EARLY}&than_to={LATE}")
    late, early = body["items"]
    assert [late, early] == [
        client.get(f"{STATISTICS}?from={LATE}")["items"][0],
        client.get(f"{STATISTICS}?from={EARLY}&to={LATE}")["items"][0],
    ]
    assert (late["episodes"], early["episodes"]) == (30, 20)
    difference = body["comparison"]["differences"]["p50"]
    assert difference["seconds"] == late["p50"]["seconds"] - early["p50"]["seconds"] == 24 - 109
    assert difference["ci95"][0] < difference["seconds"] < difference["ci95"][1] < 0
    assert body["comparison"]["log_rank"]["p_value"] < 1e-6


def test_two_values(client: Client, recorded: None) -> None:
    body = client.get(f"{STATISTICS}?compare=metadata.{KEY}&value=slow&than_value=fast")
    assert [item["key"] for item in body["items"]] == ["slow", "fast"]
    for item in body["items"]:
        (alone,) = client.get(f"{STATISTICS}?metadata.{KEY}={item['key']}")["items"]
        assert alone | {"key": item["key"]} == item
    assert body["comparison"]["differences"]["p50"]["seconds"] == 109 - 24


def test_a_side_without_episodes(client: Client, recorded: None) -> None:
    body = client.get(f"{STATISTICS}?compare=metadata.{KEY}&value=slow&than_value=none")
    assert body["items"][1]["episodes"] == 0
    assert body["comparison"]["differences"]["p50"] == {
        "seconds": None,
        "ci95": [None, None],
        "bounds": [None, None],
    }
    assert body["comparison"]["log_rank"] is None


def test_there_is_no_comparison_unless_asked_for(client: Client, recorded: None) -> None:
    assert client.get(STATISTICS).keys() == {"as_of", "items"}
