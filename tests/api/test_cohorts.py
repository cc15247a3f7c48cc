"""Estimates by cohort: a cohort is estimated from its own episodes, however many newer ones others have."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, delete

from api.app import create_app
from recorder.store.durations import MOST_RECENT
from recorder.store.tables import episodes, labelled_durations
from recorder.store.transactions import writing
from tests.support.episode_rows import KEY, add_completed
from tests.support.recording import Recording, active

ADDRESSES = [
    "/api/v1/groups/tgrp_rare",
    "/api/v1/groups/tgrp_rare/completion",
    "/api/v1/groups",
    "/api/v1/groups?format=ndjson",
    "/api/v1/groups?format=csv",
]


def _record(engine: Engine) -> None:
    """Record an active group in a rare cohort and many newer groups in another one."""
    recording = Recording(engine)
    recording.watch("tgrp_rare")
    recording.see("tgrp_rare", 1, {**active(running=1), "modified_at": None}, metadata={KEY: "rare"})
    add_completed(engine, "tgrp_", "common", [(3600, 5)] * (MOST_RECENT + 1))


pytestmark = pytest.mark.ledger(fill=_record)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return create_app(app.extensions["recorder"].engine, cohort_key=KEY).test_client()


def test_a_rare_cohort_is_estimated_from_its_own_older_episodes(engine: Engine, client: FlaskClient) -> None:
    add_completed(engine, "tgrp_old_", "rare", [(-1000, 100)] * 20)
    eta = _eta(client)
    assert (eta["basis"], eta["p50"]) == ("cohort", "2026-11-24T12:01:41.000000Z")
    assert client.get("/api/v1/groups/tgrp_rare/completion").get_json()["eta"] == eta


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_cohort_without_completed_episodes(client: FlaskClient, address: str) -> None:
    response = client.get(address)
    assert response.status_code == 200
    assert "tgrp_rare" in response.text or address.endswith("/completion")
    assert "fewer than 10" in _eta(client)["reason"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_cohort_without_episodes(engine: Engine, client: FlaskClient, address: str) -> None:
    with writing(engine) as connection:
        for table in (episodes, labelled_durations):
            connection.execute(delete(table))
    response = client.get(address)
    assert response.status_code == 200
    assert "tgrp_rare" in response.text or address.endswith("/completion")
    assert _eta(client)["reason"]


def _eta(client: FlaskClient) -> dict[str, Any]:
    eta: dict[str, Any] = client.get("/api/v1/groups/tgrp_rare").get_json()["eta"]
    return eta
