"""The metrics against the rules of `promtool check metrics`."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import Engine

from recorder.store.heartbeats import Heartbeat, beat
from recorder.store.transactions import writing
from tests.support.metric_rules import violations
from tests.support.recording import Recording, active, after

COUNTERS = {"polls": 9, "failures": 2, "failures.timeout": 2, "entries": 3, "entries.status": 3, "dropped": 1}


@pytest.fixture
def metrics(app: Flask, recording: Recording, engine: Engine) -> str:
    """The text of all metrics: on groups, a gap, a recorder and requests."""
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 1, active(running=1))
    with writing(engine) as connection:
        beat(connection, Heartbeat("r1", "here", 1, after(0), after(5.5), COUNTERS, {}))
    client = app.test_client()
    client.get("/api/v1/groups/tgrp_1/history")
    client.get("/nowhere")
    return client.get("/metrics").get_data(as_text=True)


def test_all_metrics_follow_the_rules(metrics: str) -> None:
    assert {"recorder_open_gaps 1.0", 'recorder_errors_total{recorder="r1"} 0.0'} <= {*metrics.splitlines()}
    assert "recorder_api_request_duration_seconds_bucket" in metrics
    assert violations(metrics) == set()


@pytest.mark.parametrize(
    ("kind", "sample", "rule"),
    [
        ("gauge", "a_total", "counters, and only they, end in _total"),
        ("gauge", "a_count", "ends like a part of a histogram"),
        ("gauge", "a_sum", "ends like a part of a histogram"),
        ("gauge", "a_gauge", "has a type in its name"),
        ("gauge", "a_histogram_size", "has a type in its name"),
        ("gauge", "a_ms", "has an abbreviated unit"),
        ("gauge", "a_s_max", "has an abbreviated unit"),
        ("gauge", "a_milliseconds", "not in a base unit"),
        ("counter", "a_kilobytes_total", "not in a base unit"),
        ("gauge", "a_days_left", "not in a base unit"),
        ("gauge", "aCamel", "not in snake_case"),
        ("gauge", "a:b", "not in snake_case"),
        ("gauge", 'a{aLabel="x"}', "label aLabel not in snake_case"),
        ("gauge", 'a{le="1"}', "label le of another type"),
        ("histogram", 'a_sum{quantile="1"}', "label quantile of another type"),
    ],
)
def test_violations_are_found(kind: str, sample: str, rule: str) -> None:
    name = sample.partition("{")[0] if kind != "histogram" else "a"
    text = f"# HELP {name} Words.\n# TYPE {name} {kind}\n{sample} 1\n"
    assert {found.partition(": ")[2] for found in violations(text)} == {rule}


def test_a_missing_help_text_and_a_misnamed_counter_are_found() -> None:
    assert violations("# TYPE a counter\na 1\n") == {
        *("a: no help", "a: counters, and only they, end in _total")
    }


def test_a_metric_that_follows_the_rules_has_no_violations() -> None:
    header = "# HELP a_seconds Words.\n# TYPE a_seconds histogram\n"
    assert violations(header + 'a_seconds_bucket{le="+Inf"} 1\na_seconds_sum 1\na_seconds_count 1\n') == set()
