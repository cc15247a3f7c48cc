"""Pages: every item appears exactly once, whatever is written between requests."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from itertools import count
from urllib.parse import urljoin

import pytest

from recorder.queries.paging import Cursor
from tests.support.api_client import Client
from tests.support.recording import Recording, active

HISTORY = "/api/v1/groups/tgrp_1/history"


def _record(recording: Recording, entries: int) -> None:
    recording.watch("tgrp_1")
    for seq in range(2, entries + 1):
        recording.see("tgrp_1", seq, active(running=seq))


def test_pages_of_a_history_with_an_open_gap(client: Client, recording: Recording) -> None:
    _record(recording, 6)
    for limit in [1, 2, 3, 6, 7, 8]:
        for order in ["asc", "desc"]:
            pages = client.pages(f"{HISTORY}?limit={limit}&order={order}")
            seqs = [item["seq"] for page in pages for item in page["items"]]
            expected = [1, 2, 3, 4, 5, 6, None]
            assert seqs == (expected if order == "asc" else expected[::-1])
            assert [len(page["items"]) for page in pages[:-1]] == [limit] * (len(pages) - 1)
            assert pages[-1]["items"]


@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_of_a_growing_history(client: Client, recording: Recording, limit: int, order: str) -> None:
    _record(recording, 6)
    seqs, address = [], f"{HISTORY}?limit={limit}&order={order}&kind=status,watch"
    for seq in count(7):
        page = client.get(address)
        seqs += [item["seq"] for item in page["items"]]
        if page["next"] is None:
            break
        address = urljoin(address, page["next"])
        if seq <= 9:
            recording.see("tgrp_1", seq, active(running=seq))
    oldest_first = seqs if order == "asc" else seqs[::-1]
    assert oldest_first == list(range(1, len(seqs) + 1))
    assert len(seqs) > 6 if order == "asc" else len(seqs) == 6


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_of_groups_while_more_are_enrolled(client: Client, recording: Recording, limit: int) -> None:
    expected = ["new", "B", "a", "ä", "日", "old"]
    for name, at in zip(expected, [9, 5, 5, 5, 5, 1], strict=True):
        recording.watch(name, at)
    seen, address = [], f"/api/v1/groups?limit={limit}&state=watching"
    for number in count(10):
        page = client.get(address)
        seen += [group["taskgroup_id"] for group in page["items"]]
        recording.watch(f"later {number}", number)
        if page["next"] is None:
            break
        address = urljoin(address, page["next"])
    assert seen == expected


def test_the_next_page_keeps_the_query(client: Client, recording: Recording) -> None:
    _record(recording, 6)
    query = "from=2026-11-24T13:00:03%2B01:00&kind=status,watch&order=desc&limit=2"
    response = client.get_response(f"{HISTORY}?{query}")
    next_url = json.loads(response.get_data())["next"]
    assert response.headers["Link"] == f'<{next_url}>; rel="next"'
    assert next_url.startswith(
        "?from=2026-11-24T12%3A00%3A03.000000Z&kind=status%2Cwatch&order=desc&limit=2&cursor="
    )
    assert [item["seq"] for item in client.get(HISTORY + next_url)["items"]] == [4, 3]
    assert "Link" not in client.get_response(HISTORY).headers


def test_a_cursor_allows_another_limit_but_no_other_query(client: Client, recording: Recording) -> None:
    _record(recording, 6)
    recording.watch("tgrp_2", 1)
    next_url = client.get(f"{HISTORY}?kind=status&limit=1")["next"]
    cursor = next_url.rpartition("cursor=")[2]
    more = client.get(f"{HISTORY}?kind=status&limit=2&order=asc&cursor={cursor}")
    assert [item["seq"] for item in more["items"]] == [3, 4]
    for other in (
        f"{HISTORY}?cursor={cursor}",
        f"{HISTORY}?kind=status&order=desc&cursor={cursor}",
        f"/api/v1/groups/tgrp_2/history?kind=status&cursor={cursor}",
        f"/api/v1/groups?cursor={cursor}",
    ):
        problem = client.get(other, 422)
        assert [error["location"] for error in problem["errors"]] == ["cursor"]


def _forged(cursor: str, position: Sequence[object]) -> str:
    _, _, mark = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))[:3]
    return Cursor(mark, tuple(position)).text()  # type: ignore[arg-type]


def test_a_forged_cursor_is_refused(client: Client, recording: Recording) -> None:
    _record(recording, 3)
    recording.watch("tgrp_2")
    for address, positions in (
        (f"{HISTORY}?limit=1", ([2**63], [0], ["1"], [1, 2], [True])),
        (
            "/api/v1/groups?limit=1",
            (["x", "a"], ["2026-11-24T12:00:00Z", "a\0"], [1, "a"], ["x"], [1.5, "a"]),
        ),
    ):
        next_url = client.get(address)["next"]
        cursor = next_url.rpartition("cursor=")[2]
        forged = [_forged(cursor, position) for position in positions]
        for bad in [*forged, "", "x", "%00", "W10", f"{cursor}A", f"={cursor}", "ü", "W1tbW1tb"]:
            problem = client.get(f"{address}&cursor={bad}", 422)
            assert [error["location"] for error in problem["errors"]] == ["cursor"]
