"""What happened, in the order of the ids."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from recorder.store.events import publish_events
from recorder.store.transactions import writing
from tests.support.api_client import Client
from tests.support.recording import Recording, active, settled


def publish(engine: Engine) -> None:
    with writing(engine) as connection:
        publish_events(connection)


def happened(engine: Engine) -> None:
    recording = Recording(engine)
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 10, active(running=2))
    recording.see("tgrp_1", 20, settled(completed=2))
    recording.watch("Gruppe ä", 30)
    recording.see("Gruppe ä", 31, active(running=2))
    publish(engine)


@pytest.mark.ledger(fill=happened)
def test_events_have_the_documented_members(client: Client) -> None:
    started, over, _ = client.get("/api/v1/events")["items"]
    place = {"taskgroup_id": "tgrp_1", "seq": 2}
    assert started.pop("data").items() >= {**place, "number": 1}.items()
    assert started == {"id": 1, "at": "2026-11-24T12:00:10.000000Z", "type": "group.started", **place}
    (episode,) = client.get("/api/v1/groups/tgrp_1/completion")["episodes"]
    assert over["data"] == {"taskgroup_id": "tgrp_1", "seq": 3, **episode}


@pytest.mark.ledger(fill=happened)
@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", [1, 2, 3]),
        ("after=1", [2, 3]),
        ("after=3", []),
        ("after=9223372036854775807", []),
        ("type=group.settled,group.gone", [2]),
        ("taskgroup_id=Gruppe%20%C3%A4", [3]),
        ("taskgroup_id=tgrp_unknown", []),
    ],
)
def test_filters(client: Client, query: str, ids: list[int]) -> None:
    assert [item["id"] for item in client.get(f"/api/v1/events?{query}")["items"]] == ids


@pytest.mark.ledger(fill=happened)
def test_pages_go_on_where_the_last_one_ended(client: Client) -> None:
    pages = client.pages("/api/v1/events?limit=2")
    assert [[item["id"] for item in page["items"]] for page in pages] == [[1, 2], [3]]
    problem = client.get(f"/api/v1/events{pages[0]['next']}&type=group.settled", 422)
    assert [error["location"] for error in problem["errors"]] == ["cursor"]


@pytest.mark.ledger(fill=happened)
def test_the_etag_changes_with_the_next_event_that_is_published(
    client: Client, engine: Engine, recording: Recording
) -> None:
    tag = client.get_response("/api/v1/events").headers["ETag"]
    recording.see("Gruppe ä", 41, settled(completed=2))
    assert client.get_response("/api/v1/events").headers["ETag"] == tag
    publish(engine)
    assert client.get_response("/api/v1/events").headers["ETag"] != tag


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("after=-1", "is not the id of an event: a whole number, 0 for the beginning"),
        ("after=1.5", "is not the id of an event: a whole number, 0 for the beginning"),
        ("after=99999999999999999999", "is not the id of an event: a whole number, 0 for the beginning"),
        ("type=group.done", "'group.done' is not one of group.returned"),
        ("taskgroup_id=a/b", "is not a group's id"),
    ],
)
def test_bad_parameters_are_named(offline: Client, query: str, message: str) -> None:
    (error,) = offline.get(f"/api/v1/events?{query}", 422)["errors"]
    assert error["location"] == query.partition("=")[0]
    assert error["message"].startswith(message)
