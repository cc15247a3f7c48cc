"""Listing groups by metadata and times, with a count and in pages."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, text

from recorder.store.transactions import writing
from tests.support.api_client import Client
from tests.support.recording import Recording, active, after, settled

GROUPS = "/api/v1/groups"


def _record(engine: Engine) -> None:
    recording = Recording(engine)
    groups: dict[str, dict[str, Any]] = {
        "tgrp_1": {"metadata": {"customer": "acme", "size": 1}, "created_at": after(-60).isoformat()},
        "tgrp_2": {"metadata": {"customer": "acme", "size": "1"}, "created_at": after(-30).isoformat()},
        "tgrp_3": {"metadata": {"customer": "glo.bex[x]", "size": True}, "created_at": None},
        "tgrp_4": {"metadata": None, "created_at": after(0).isoformat()},
    }
    for number, (group, members) in enumerate(groups.items()):
        recording.watch(group, number)
        recording.see(group, number + 10, active(running=1), **members)
    recording.watch("tgrp_5", 5)
    recording.see("tgrp_2", 50, settled(completed=1), **groups["tgrp_2"])


pytestmark = pytest.mark.ledger(fill=_record)


FILTERS = [
    ("", "54321"),
    ("metadata.customer=acme", "21"),
    ("metadata[customer]=acme&metadata.size=1", "21"),
    ("metadata.customer=glo.bex%5Bx%5D", "3"),
    ("metadata.size=true", "3"),
    ("metadata.size=2", ""),
    ("metadata.nothing=", ""),
    ("metadata.customer=acme&phase=settled", "2"),
    ("created_from=2026-11-24T11:59:30Z", "42"),
    ("created_to=2026-11-24T11:59:30Z", "1"),
    ("created_from=2026-11-24T11:59:00Z&created_to=2026-11-24T12:00:00Z", "21"),
    ("changed_from=2026-11-24T12:00:13Z", "42"),
]


def test_filters(client: Client) -> None:
    for query, expected in FILTERS:
        page = client.get(f"{GROUPS}?{query}")
        assert [item["taskgroup_id"] for item in page["items"]] == [f"tgrp_{number}" for number in expected]
        assert page["next"] is None and "count" not in page
        counted = client.get(f"{GROUPS}?{query}&count=true&limit=1")
        assert (counted["count"], counted["count_is_capped"]) == (len(expected), False), query


def test_pages_keep_filters(client: Client) -> None:
    pages = client.pages(f"{GROUPS}?metadata.customer=acme&limit=1&count=true")
    assert [item["taskgroup_id"] for page in pages for item in page["items"]] == ["tgrp_2", "tgrp_1"]
    assert [page["count"] for page in pages] == [2, 2]
    assert "metadata.customer=acme" in pages[0]["next"]
    other = pages[0]["next"].replace("customer=acme", "customer=globex")
    (error,) = client.get(GROUPS + other, 422)["errors"]
    assert error["location"] == "cursor"


def test_counts_are_capped(client: Client, engine: Engine) -> None:
    copies = """INSERT INTO watches
        (taskgroup_id, state, enrolled_at, head_seq, head_kind, head_at, head_digest)
        WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 9997)
        SELECT 'copy ' || n, state, enrolled_at, head_seq, head_kind, head_at, head_digest
        FROM n, watches WHERE taskgroup_id = 'tgrp_5'"""
    with writing(engine) as connection:
        connection.execute(text(copies))
    page = client.get(f"{GROUPS}?count=true&limit=1")
    assert (page["count"], page["count_is_capped"]) == (10_000, True)


@pytest.mark.parametrize(
    ("query", "location"),
    [
        ("created_from=2026-11-24T12:00:00Z&created_to=2026-11-24T11:00:00Z", "created_to"),
        ("changed_from=12:00", "changed_from"),
        ("count=yes", "count"),
        ("metadata=acme", "metadata"),
        ("metdata.customer=acme", "metdata.customer"),
    ],
)
def test_bad_filters(offline: Client, query: str, location: str) -> None:
    (error,) = offline.get(f"{GROUPS}?{query}", 422)["errors"]
    assert error["location"] == location
