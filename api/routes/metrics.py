"""Prometheus metrics of the API, and of the groups and recorders in its database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from api.context import Snapshot, snapshot
from api.endpoint import Operation, document, require_no_parameters
from api.schemas.common import Problem
from recorder.ledger.status_fields import Phase
from recorder.ledger.timestamps import parse_time
from recorder.ledger.watch import WatchState
from recorder.queries.query import NoQuery
from recorder.queries.recorders import rate_budget_body, recorder_body
from recorder.store.deliveries import SinkState, sink_states
from recorder.store.group_counts import GroupCounts, read_group_counts
from recorder.store.heartbeats import Heartbeat, PollLimit, heartbeats
from recorder.store.transactions import DatabaseUnavailableError

TAG = "health"
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_ANSWERED = "answered"
_NO_ROUTE = "none"
_METHODS = {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"}
_OTHER = "other"
"""The label of unknown methods: clients can invent them, and each would add time series for good."""


def register_metrics(app: Flask) -> None:
    """Serve `/metrics`, and measure the duration of every request to `app` by route."""
    registry = CollectorRegistry()
    registry.register(_DatabaseCollector())
    durations = Histogram(
        "recorder_api_request_duration_seconds",
        "Time until the response to a request started to be sent.",
        ["route", "method", "status"],
        registry=registry,
        buckets=_BUCKETS,
    )

    @app.before_request
    def begin() -> None:
        g.begun = time.perf_counter()

    @app.after_request
    def measure(response: Response) -> Response:
        route = _NO_ROUTE if request.url_rule is None else request.url_rule.rule
        taken = time.perf_counter() - g.begun
        method = request.method if request.method in _METHODS else _OTHER
        durations.labels(route, method, response.status_code).observe(taken)
        return response

    @app.get("/metrics")
    def metrics() -> Response:
        require_no_parameters()
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    document(
        metrics,
        Operation(
            "getMetrics",
            TAG,
            "Prometheus metrics of the API, the groups and the recorders.",
            NoQuery,
            None,
            {422: Problem, 500: Problem},
            content_type="text/plain",
        ),
    )


class _DatabaseCollector(Collector):
    """Metrics read from the database on each scrape; recorders that have stopped are not included."""

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("recorder_database_up", "Whether the database can be read (1) or not (0).")
        try:
            with snapshot() as read:
                found = list(_database_metrics(read))
            up.add_metric([], 1)
        except DatabaseUnavailableError:
            found = []
            up.add_metric([], 0)
        yield up
        yield from found


def _database_metrics(read: Snapshot) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "recorder_data_age_seconds",
        "How old the data of the database is: more than 0 only on a standby.",
        value=read.time.age_seconds,
    )
    yield from _group_metrics(read_group_counts(read.connection, read.now))
    recorders = heartbeats(read.connection)
    yield from _capacity_metrics(rate_budget_body(recorders, read.now, 0.0))
    yield from _recorder_metrics(recorders, read.now)
    yield from _sink_metrics(sink_states(read.connection))


def _group_metrics(counts: GroupCounts) -> Iterator[Metric]:
    phases = GaugeMetricFamily(
        "recorder_groups", "Number of groups by the phase they were last seen in.", labels=["phase"]
    )
    for phase in (*Phase, None):
        phases.add_metric([phase or "never_seen"], counts.phases.get(phase, 0))
    yield phases
    states = GaugeMetricFamily(
        "recorder_watches", "Number of groups by the state of their watch.", labels=["state"]
    )
    for state in WatchState:
        states.add_metric([state], counts.states.get(state, 0))
    yield states
    gauges = {
        "recorder_open_gaps": ("Number of groups with an open gap.", counts.open_gaps),
        "recorder_due_polls": ("Number of polls that are due but not made yet.", counts.due),
        "recorder_lateness_seconds": ("How late the longest overdue poll is.", counts.late_seconds),
        "recorder_ledger_entries": ("Number of entries in all ledgers.", counts.entries),
    }
    for name, (description, value) in gauges.items():
        yield GaugeMetricFamily(name, description, value=value)


def _capacity_metrics(budget: dict[str, Any]) -> Iterator[Metric]:
    """Yield what the recorders report of their polls; without a report there are no samples."""
    gauges = {
        "needed_per_second": ("needed_polls_per_second", "What the watched groups need at their intervals."),
        "capacity_per_second": ("possible_polls_per_second", "How many polls the recorders can make."),
        "reached_per_second": ("reached_polls_per_second", "How many polls the recorders made lately."),
        "stretch": ("interval_stretch", "Factor by which intervals are longer for want of capacity."),
    }
    for member, (name, description) in gauges.items():
        gauge = GaugeMetricFamily(f"recorder_{name}", description)
        if (value := budget[member]) is not None:
            gauge.add_metric([], value)
        yield gauge
    bottleneck = GaugeMetricFamily(
        "recorder_bottleneck", "What keeps the recorders from making more polls (1).", labels=["limit"]
    )
    if budget["stretch"] is not None:
        for limit in (PollLimit.RATE, PollLimit.CONCURRENCY, PollLimit.CPU, PollLimit.DATABASE):
            bottleneck.add_metric([limit], int(budget["limited_by"] == limit))
    yield bottleneck


def _sink_metrics(states: list[SinkState]) -> Iterator[Metric]:
    descriptions = {
        "pending": "Number of events that a sink is still to be told.",
        "failed": "Number of events that a sink could not be told.",
        "disabled": "Whether a sink wants no more events (1) or not (0).",
    }
    gauges = {
        name: GaugeMetricFamily(f"recorder_sink_{name}", description, labels=["sink"])
        for name, description in descriptions.items()
    }
    for state in states:
        gauges["pending"].add_metric([state.name], state.pending)
        gauges["failed"].add_metric([state.name], state.failed)
        gauges["disabled"].add_metric([state.name], state.disabled_at is not None)
    yield from gauges.values()


def _recorder_metrics(recorders: list[Heartbeat], now: datetime) -> Iterator[Metric]:
    beat = _recorder_gauge("heartbeat_timestamp_seconds", "Time of a recorder's last heartbeat.")
    polls = CounterMetricFamily(
        "recorder_polls", "Number of polls by outcome.", labels=["recorder", "outcome"]
    )
    written = CounterMetricFamily(
        "recorder_entries_written", "Number of ledger entries written, by kind.", labels=["recorder", "kind"]
    )
    dropped = CounterMetricFamily(
        "recorder_results_dropped",
        "Number of poll results dropped because the claim was lost.",
        labels=["recorder"],
    )
    errors = CounterMetricFamily(
        "recorder_errors", "Number of unexpected errors in a recorder.", labels=["recorder"]
    )
    for recorder in recorders:
        name, counters = recorder.recorder_id, recorder.counters
        beat.add_metric([name], recorder.heartbeat_at.timestamp())
        polls.add_metric([name, _ANSWERED], counters.get("polls", 0) - counters.get("failures", 0))
        for counter, count in counters.items():
            family, _, label = counter.partition(".")
            if label and family in {"failures", "entries"}:
                (polls if family == "failures" else written).add_metric([name, label], count)
        dropped.add_metric([name], counters.get("dropped", 0))
        errors.add_metric([name], counters.get("errors", 0))
    yield from (beat, polls, written, dropped, errors, *_health_metrics(recorders, now))


def _health_metrics(recorders: list[Heartbeat], now: datetime) -> Iterator[Metric]:
    gauges = {
        "alive": "Whether a recorder has sent a heartbeat in the last 15 s (1) or not (0).",
        "recording": "Whether a recorder is alive and none of its writes fails (1) or not (0).",
        "clock_offset_seconds": "How far the clock of a recorder's machine is ahead of the database's.",
        "last_poll_at": "Time at which a recorder's last poll ended.",
        "last_write_at": "Time at which a recorder last wrote the results of polls.",
        "write_failures": "Number of failed writes since the database became unavailable.",
    }
    bodies = [recorder_body(recorder, now) for recorder in recorders]
    for member, description in gauges.items():
        is_time = member.endswith("_at")
        name = f"{member.removesuffix('_at')}_timestamp_seconds" if is_time else member
        gauge = _recorder_gauge(name, description)
        for body in bodies:
            if (value := body[member]) is not None:
                number = parse_time(value).timestamp() if is_time else float(value)
                gauge.add_metric([body["recorder_id"]], number)
        yield gauge


def _recorder_gauge(name: str, description: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"recorder_{name}", description, labels=["recorder"])
