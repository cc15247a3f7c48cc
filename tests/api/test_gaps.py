"""A group's gaps, and how much of its time was observed."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urljoin

import pytest
from sqlalchemy import Engine, text

from recorder.ledger.timestamps import format_time
from recorder.store.transactions import reading
from tests.support.api_client import Client, Clock
from tests.support.recording import Recording, active, settled

GROUP = "/api/v1/groups/tgrp_1"
GAPS = f"{GROUP}/gaps"
MEMBERS = [
    *("seq", "from", "to", "duration_seconds", "cause", "attempts", "unpolled_seconds"),
    *("http_status", "detail"),
]


@pytest.fixture(autouse=True)
def late_clock(clock: Clock) -> None:
    clock.seconds = 200


def _record(engine: Engine) -> None:
    """Seen at 10; a gap to 60.000001; seen until 70; a gap to 150, when it is paused."""
    recording = Recording(engine)
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 10, active(running=1))
    for seconds in (20.25, 30.25, 40.25, 50.25):
        recording.fail("tgrp_1", seconds)
    recording.see("tgrp_1", 60.000001, active(running=1))
    recording.see("tgrp_1", 70, settled(completed=1))
    recording.pause("tgrp_1", 150)


def _record_open_gap(engine: Engine) -> None:
    """Watched again from 160 and seen at 161; a third gap, with one failed poll, is still open."""
    _record(engine)
    recording = Recording(engine)
    recording.watch("tgrp_1", 160)
    recording.see("tgrp_1", 161, settled(completed=1))
    recording.fail("tgrp_1", 171)


def _seqs(body: dict[str, Any]) -> list[int | None]:
    return [item["seq"] for item in body["items"]]


def _pages(client: Client, address: str) -> list[dict[str, Any]]:
    """Return all pages from `address` on, fewer than ten."""
    pages = [client.get(address)]
    while (next_url := pages[-1]["next"]) is not None:
        assert len(pages) < 10
        pages.append(client.get(urljoin(address, next_url)))
    return pages


@pytest.mark.ledger(fill=_record)
def test_closed_gaps_and_coverage(client: Client) -> None:
    body = client.get(GAPS)
    assert list(body) == ["items", "next", "coverage"]
    first, second = body["items"]
    assert list(first) == MEMBERS
    assert first == {
        "seq": 3,
        "from": "2026-11-24T12:00:10.000000Z",
        "to": "2026-11-24T12:01:00.000001Z",
        "duration_seconds": 50.000001,
        "cause": "server_error",
        "attempts": 4,
        "unpolled_seconds": 0,
        "http_status": 503,
        "detail": "busy",
    }
    assert second == {
        "seq": 6,
        "from": "2026-11-24T12:01:10.000000Z",
        "to": "2026-11-24T12:02:30.000000Z",
        "duration_seconds": 80,
        "cause": "not_polled",
        "attempts": 0,
        "unpolled_seconds": 70,
        "http_status": None,
        "detail": None,
    }
    assert body["coverage"] == {
        "watched_seconds": 150,
        "gap_seconds": 130.000001,
        "observed_seconds": 19.999999,
        "fraction": 19999999 / 150000000,
    }


@pytest.mark.ledger(fill=_record_open_gap)
def test_closed_gaps_match_the_view(client: Client, engine: Engine) -> None:
    with reading(engine) as connection:
        rows = connection.execute(text("SELECT * FROM observation_gaps ORDER BY seq")).mappings().all()
    names = {"gap_from": "from", "gap_to": "to"}
    view_gaps = [
        {names.get(name, name): _plain(value) for name, value in row.items() if name != "taskgroup_id"}
        for row in rows
    ]
    closed = [item for item in client.get(GAPS)["items"] if item["seq"] is not None]
    assert closed == view_gaps
    assert len(closed) == 2
    assert list(closed[0]) == list(view_gaps[0])


def _plain(value: Any) -> Any:
    return format_time(value) if isinstance(value, datetime) else value


@pytest.mark.ledger(fill=_record_open_gap)
def test_an_open_gap_comes_last_whatever_the_time(client: Client, clock: Clock) -> None:
    clock.seconds = 201
    before = client.get(GAPS)
    assert _seqs(before) == [3, 6]
    clock.seconds = 201.5
    raw = client.get_response(GAPS).get_data()
    body = client.get(GAPS)
    assert _seqs(body) == [3, 6, None]
    gap = body["items"][-1]
    assert (gap["from"], gap["to"], gap["duration_seconds"]) == ("2026-11-24T12:02:41.000000Z", None, None)
    assert (gap["cause"], gap["attempts"], gap["http_status"]) == ("server_error", 1, 503)
    assert {**gap, "seq": None} == {"duration_seconds": None, "seq": None, **client.get(GROUP)["open_gap"]}
    assert body["coverage"] == before["coverage"]
    clock.seconds = 10**6
    assert client.get_response(GAPS).get_data() == raw


@pytest.mark.ledger(fill=_record_open_gap)
def test_gaps_match_the_history(client: Client, clock: Clock) -> None:
    clock.seconds = 300
    gaps = client.get(GAPS)["items"]
    history_gaps = client.get(f"{GROUP}/history?kind=gap")["items"]
    assert [{"seq": item["seq"], **item["gap"]} for item in history_gaps] == [
        {name: value for name, value in gap.items() if name != "duration_seconds"} for gap in gaps
    ]


@pytest.mark.ledger(fill=_record_open_gap)
def test_pages(client: Client, clock: Clock) -> None:
    clock.seconds = 300
    for order in ["asc", "desc"]:
        for limit in [1, 2, 3, 4]:
            pages = _pages(client, f"{GAPS}?limit={limit}&order={order}")
            expected = [3, 6, None]
            assert [seq for page in pages for seq in _seqs(page)] == (
                expected if order == "asc" else expected[::-1]
            )
            assert len(pages) == -(-len(expected) // limit)
            assert all(page["coverage"] == client.get(GAPS)["coverage"] for page in pages)


@pytest.mark.ledger(fill=_record_open_gap)
def test_a_gap_that_closes_between_pages_is_returned_once(
    client: Client, recording: Recording, clock: Clock
) -> None:
    clock.seconds = 300
    oldest, newest = (client.get(f"{GAPS}?limit=1&order={order}") for order in ("asc", "desc"))
    assert (_seqs(oldest), _seqs(newest)) == ([3], [None])
    recording.see("tgrp_1", 310, settled(completed=1))
    clock.seconds = 320
    assert [seq for page in _pages(client, GAPS + oldest["next"]) for seq in _seqs(page)] == [6, 10]
    assert [seq for page in _pages(client, GAPS + newest["next"]) for seq in _seqs(page)] == [6, 3]


@pytest.mark.ledger(fill=_record_open_gap)
def test_the_next_page_is_in_the_link_header(client: Client) -> None:
    response = client.get_response(f"{GAPS}?limit=1&order=desc&from=2026-11-24T12:00:00Z")
    next_url = client.get(f"{GAPS}?limit=1&order=desc&from=2026-11-24T12:00:00Z")["next"]
    assert response.headers["Link"] == f'<{next_url}>; rel="next"'
    assert _seqs(client.get(GAPS + next_url)) == [3]
    assert "Link" not in client.get_response(GAPS).headers


FILTERS = [
    ("from=2026-11-24T12:01:00Z", [3, 6, None]),
    ("from=2026-11-24T12:01:00.000001Z", [6, None]),
    ("from=2026-11-24T12:02:30Z", [None]),
    ("from=2027-01-01T00:00:00Z", [None]),
    ("to=2026-11-24T12:00:10Z", []),
    ("to=2026-11-24T12:00:10.000001Z", [3]),
    ("to=2026-11-24T12:02:41Z", [3, 6]),
    ("from=2026-11-24T12:01:30Z&to=2026-11-24T12:01:40Z", [6]),
    ("order=desc", [None, 6, 3]),
]


@pytest.mark.ledger(fill=_record_open_gap)
def test_filters(client: Client, clock: Clock) -> None:
    clock.seconds = 300
    for query, seqs in FILTERS:
        body = client.get(f"{GAPS}?{query}")
        assert _seqs(body) == seqs, query
        assert body["coverage"] == client.get(GAPS)["coverage"]


def test_a_group_without_gaps(client: Client, recording: Recording, clock: Clock) -> None:
    recording.watch("tgrp_1")
    clock.seconds = 5
    no_coverage = {"watched_seconds": 0, "gap_seconds": 0, "observed_seconds": 0, "fraction": None}
    assert client.get(GAPS) == {"items": [], "next": None, "coverage": no_coverage}
    recording.see("tgrp_1", 10, active(running=1))
    recording.see("tgrp_1", 20, active(running=1))
    clock.seconds = 25
    full_coverage = {"watched_seconds": 20, "gap_seconds": 0, "observed_seconds": 20, "fraction": 1}
    assert client.get(GAPS) == {"items": [], "next": None, "coverage": full_coverage}


def test_an_unknown_group(client: Client) -> None:
    assert client.get(GAPS, 404)["type"] == "/docs/problems#unknown-group"
    assert client.request("HEAD", GAPS).status_code == 404


@pytest.mark.ledger(fill=_record_open_gap)
def test_head_matches_get(client: Client) -> None:
    head, got = client.request("HEAD", f"{GAPS}?limit=1"), client.request("GET", f"{GAPS}?limit=1")
    assert (head.status_code, head.get_data()) == (200, b"")
    assert list(head.headers) == list(got.headers)
    assert "Link" in head.headers


@pytest.mark.ledger(fill=_record_open_gap)
def test_bad_parameters(client: Client) -> None:
    problem = client.get(f"{GAPS}?kind=gap&order=up&limit=0&from=noon&to=2026-11-24&cursor=x", 422)
    assert {error["location"] for error in problem["errors"]} == {
        *("kind", "order", "limit", "from", "to", "cursor")
    }
    backwards = client.get(f"{GAPS}?from=2026-11-24T12:00:01Z&to=2026-11-24T12:00:00Z", 422)
    assert [error["location"] for error in backwards["errors"]] == ["to"]
    cursor = client.get(f"{GROUP}/history?limit=1")["next"].rpartition("cursor=")[2]
    assert [error["location"] for error in client.get(f"{GAPS}?cursor={cursor}", 422)["errors"]] == ["cursor"]
