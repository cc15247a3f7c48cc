"""The metrics, read with the parser of the Prometheus client library."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine

from api.app import create_app
from recorder.store.heartbeats import Heartbeat, beat, sign_off
from recorder.store.transactions import writing
from tests.support.api_client import Clock, app_without_database
from tests.support.pages import first_codes, table
from tests.support.recording import Recording, active, after, settled
from tests.support.told_sinks import told_sink

COUNTERS = {"polls": 9, "failures": 2, "failures.timeout": 2, "entries": 3, "entries.status": 3, "dropped": 1}


def _samples(app: Flask) -> dict[tuple[str, ...], float]:
    """Return the samples by name and label values, the latter ordered by label name."""
    response = app.test_client().get("/metrics")
    assert response.status_code == 200
    assert response.mimetype == "text/plain"
    families = text_string_to_metric_families(response.get_data(as_text=True))
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def _heartbeat(**members: Any) -> Heartbeat:
    defaults = {"recorder_id": "r1", "host": "here", "pid": 1, "started_at": after(0), "report": {}}
    return Heartbeat(**{**defaults, "heartbeat_at": after(5.5), "counters": COUNTERS, **members})


def test_groups_and_recorders(app: Flask, recording: Recording, engine: Engine, clock: Clock) -> None:
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 1, active(running=1))
    recording.watch("tgrp_2")
    recording.see("tgrp_2", 95, settled(completed=1))
    recording.watch("tgrp_3", 90)
    recording.pause("tgrp_3", 91)
    with writing(engine) as connection:
        beat(connection, _heartbeat())
    clock.seconds = 100
    found = _samples(app)
    assert found["recorder_database_up",] == 1
    phases = {key[1]: value for key, value in found.items() if key[0] == "recorder_groups"}
    assert phases == {"active": 1, "settled": 1, "never_seen": 1, "blocked": 0, "empty": 0, "unclear": 0}
    assert found["recorder_watches", "watching"] == 2 and found["recorder_watches", "paused"] == 1
    assert found["recorder_open_gaps",] == 1
    assert found["recorder_ledger_entries",] == 7
    assert found["recorder_due_polls",] == 2
    assert found["recorder_lateness_seconds",] == 99
    assert found["recorder_heartbeat_timestamp_seconds", "r1"] == after(5.5).timestamp()
    assert found["recorder_polls_total", "answered", "r1"] == 7
    assert found["recorder_polls_total", "timeout", "r1"] == 2
    assert found["recorder_entries_written_total", "status", "r1"] == 3
    assert found["recorder_results_dropped_total", "r1"] == 1
    assert found["recorder_errors_total", "r1"] == 0


def test_the_series_of_a_recorder_end_when_it_signs_off(app: Flask, engine: Engine) -> None:
    with writing(engine) as connection:
        beat(connection, _heartbeat())
    assert [key for key in _samples(app) if "r1" in key]
    with writing(engine) as connection:
        sign_off(connection, ["r1"])
    assert [key for key in _samples(app) if "r1" in key] == []


@pytest.fixture
def app(app: Flask, clock: Clock) -> Flask:
    """An app that has counted no requests yet."""
    return create_app(app.extensions["recorder"].engine, now=clock)


def test_what_is_needed_reached_and_in_the_way(app: Flask, engine: Engine, clock: Clock) -> None:
    clock.seconds = 6
    rate = {"requests_per_second": 20.0, "needed_per_second": 9.0, "capacity_per_second": 5.0}
    rate |= {"reached_per_second": 4.5, "stretch": 2.0, "limited_by": "concurrency"}  # type: ignore[dict-item]
    with writing(engine) as connection:
        beat(connection, _heartbeat(report={"rate": rate}))
    found = _samples(app)
    assert found["recorder_needed_polls_per_second",] == 9
    assert found["recorder_possible_polls_per_second",] == 5
    assert found["recorder_reached_polls_per_second",] == 4.5
    assert found["recorder_interval_stretch",] == 2
    limits = {key[1]: value for key, value in found.items() if key[0] == "recorder_bottleneck"}
    assert limits == {"rate": 0, "concurrency": 1, "cpu": 0, "database": 0}


def test_sinks(app: Flask, engine: Engine) -> None:
    told_sink(engine, "ops")
    found = _samples(app)
    names = ("pending", "failed", "disabled")
    assert [found[f"recorder_sink_{name}", "ops"] for name in names] == [1, 1, 1]


def test_requests_are_counted_by_route(app: Flask, recording: Recording) -> None:
    recording.watch("tgrp_1")
    for path in ("/api/v1/groups/tgrp_1", "/api/v1/groups/tgrp_2", "/nowhere", "/api/v1/groups?limit=0"):
        app.test_client().get(path)
    name = "recorder_api_request_duration_seconds_count"
    found = {key[1:]: value for key, value in _samples(app).items() if key[0] == name}
    group = "/api/v1/groups/<taskgroup_id>"
    assert found == {
        ("GET", group, "200"): 1,
        ("GET", group, "404"): 1,
        ("GET", "none", "404"): 1,
        ("GET", "/api/v1/groups", "422"): 1,
    }


def test_without_a_database() -> None:
    found = _samples(app_without_database())
    assert found["recorder_database_up",] == 0
    assert not [key for key in found if key[0] == "recorder_groups"]


def test_all_metrics_are_documented(app: Flask, engine: Engine) -> None:
    with writing(engine) as connection:
        beat(connection, _heartbeat())
    app.test_client().get("/healthz")
    text = app.test_client().get("/metrics").get_data(as_text=True)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert all(name.startswith("recorder_") for name in families)
    described = set(first_codes(table("docs/reference/api.md", "Metrics")))
    counters = {f"{name}_total" for name, family in families.items() if family.type == "counter"}
    others = {name for name, family in families.items() if family.type != "counter"}
    assert described == counters | {name for name in others if not name.endswith("_created")}


@pytest.mark.parametrize("path", ["/metrics?x=1"])
def test_parameters_are_refused(app: Flask, path: str) -> None:
    assert app.test_client().get(path).status_code == 422


def test_apps_count_separately(engine: Engine) -> None:
    one, other = create_app(engine), create_app(engine)
    one.test_client().get("/healthz")
    name = "recorder_api_request_duration_seconds_count"
    assert not [key for key in _samples(other) if key[0] == name]


def test_unknown_methods_share_a_label(app: Flask) -> None:
    for number in range(20):
        app.test_client().open("/nowhere", method=f"M{number}")
    app.test_client().get("/nowhere")
    counts = {
        key[1:]: value
        for key, value in _samples(app).items()
        if key[0] == "recorder_api_request_duration_seconds_count" and "none" in key
    }
    assert counts == {("other", "none", "404"): 20, ("GET", "none", "404"): 1}
