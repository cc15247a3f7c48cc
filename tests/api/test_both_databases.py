"""Responses do not depend on the database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.app import create_app
from recorder.store.engine import check_url, open_engine
from tests.support.api_client import Client
from tests.support.databases import postgres_database, sqlite_database
from tests.support.recording import Recording, active, after, settled


@pytest.fixture
def urls(tmp_path: Path, sqlite_template: Path, postgres: str, postgres_template: str) -> Iterator[list[str]]:
    with (
        sqlite_database(tmp_path / "recorder.db", sqlite_template) as file,
        postgres_database(postgres, "both", postgres_template) as database,
    ):
        yield [file, database]


def _populate(recording: Recording) -> None:
    for taskgroup_id in ("b", "B", "a", "ä", "日", "_"):
        recording.watch(taskgroup_id)
    odd = '{"status": {"num_task_runs": 1e400, "x": "\\u0000", "y": [123456789012345678901234567890, 0.1]}}'
    metadata = {"ü": 1.5, "A": True, "e": 1e300}
    recording.see("a", 5, active(running=2), metadata=metadata, created_at="2026-11-24T11:00:00Z")
    recording.see_raw("b", 7, odd)
    recording.pause("b", 8)
    recording.see("a", 10.000001, active(running=1, failed=1))
    recording.fail("a", 15)
    recording.fail("a", 16)
    recording.see("a", 70, settled(completed=1, failed=1))


def _responses(url: str) -> dict[str, bytes]:
    writer, reader = open_engine(check_url(url)), open_engine(check_url(url), read_only=True)
    _populate(Recording(writer))
    app = create_app(reader, now=lambda: after(200))
    client, exports = Client(app), app.test_client()
    addresses = ["/api/v1/groups", "/api/v1/groups?limit=3", "/readyz"]
    for taskgroup_id in ("a", "b", "%C3%A4"):
        group = f"/api/v1/groups/{taskgroup_id}"
        addresses += [group, f"{group}/status", f"{group}/completion", f"{group}/gaps"]
        addresses.append(f"{group}/history?order=desc")
    responses = {address: client.get_response(address).get_data() for address in addresses}
    for address in ("/api/v1/groups?format=csv", "/api/v1/groups/a/history?format=csv"):
        responses[address] = exports.get(address).get_data()
    writer.dispose()
    reader.dispose()
    return responses


def test_responses_are_equal_byte_for_byte(urls: list[str]) -> None:
    on_sqlite, on_postgres = (_responses(url) for url in urls)
    assert on_sqlite == on_postgres
