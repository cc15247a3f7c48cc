"""A recorder's own metrics and health, with and without a recorder."""

from __future__ import annotations

import asyncio
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine

from recorder.polling.self_server import STUCK_SECONDS, SelfReport, serving_report
from recorder.polling.service import Recorder
from recorder.polling.write_health import WriteHealth, WriteKind
from recorder.settings import Settings
from recorder.store.database_clock import DatabaseClock
from tests.polling.recorders import StartUpstream, make_client, wait_until_true
from tests.support.databases import ON_SQLITE
from tests.support.metric_rules import violations
from tests.support.pages import first_codes, table
from tests.support.postgres import free_port


@contextmanager
def served(report: SelfReport) -> Iterator[str]:
    port = free_port()
    with serving_report(port, report):
        yield f"http://127.0.0.1:{port}"


def ask(url: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_before_a_recorder_has_started_it_is_alive_and_cannot_write() -> None:
    with served(SelfReport()) as url:
        assert ask(f"{url}/healthz") == (200, '{"status": "ok"}')
        status, metrics = ask(f"{url}/metrics")
    assert status == 200
    assert "recorder_self_database_up 0.0" in metrics.splitlines()
    assert "process_open_fds" in metrics


def test_a_loop_that_stands_still_is_stuck() -> None:
    seconds = 0.0
    report = SelfReport(lambda: seconds)
    with served(report) as url:
        report.tick()
        seconds = STUCK_SECONDS
        assert ask(f"{url}/healthz")[0] == 200
        seconds += 0.1
        assert ask(f"{url}/healthz") == (503, '{"status": "stuck"}')
        report.tick()
        assert ask(f"{url}/healthz")[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::1]:1"])
def test_other_hosts_are_refused(host: str) -> None:
    with served(SelfReport()) as url:
        for path in ("/healthz", "/metrics"):
            assert ask(url + path, Host=host)[0] == 403
        assert ask(f"{url}/healthz", Host="localhost:1")[0] == 200


def test_other_paths_and_methods_are_refused() -> None:
    with served(SelfReport()) as url:
        assert ask(f"{url}/")[0] == 404
        assert ask(f"{url}/metrics", "POST")[0] == 405
        assert ask(f"{url}/healthz", "HEAD") == (200, "")


def test_without_a_port_nothing_is_served() -> None:
    with serving_report(None, SelfReport()):
        pass


@ON_SQLITE
def test_a_recorder_reports_polls_entries_and_writes(
    engine: Engine, settings: Settings, start_upstream: StartUpstream
) -> None:
    upstream = start_upstream()
    report, health = SelfReport(), WriteHealth()
    upstream.create(engine, settings)

    async def scenario(url: str) -> str:
        def seen() -> bool:
            return 'recorder_self_entries_written_total{kind="status"}' in ask(f"{url}/metrics")[1]

        stop = asyncio.Event()
        async with make_client(settings, upstream) as client:
            recorder = Recorder(settings, engine, client, DatabaseClock())
            async with recorder.reporting_to(report):
                task = asyncio.create_task(recorder.run(stop))
                await wait_until_true(seen)
                stop.set()
                await task
            metrics = (await asyncio.to_thread(ask, f"{url}/metrics"))[1]
            assert (await asyncio.to_thread(ask, f"{url}/healthz"))[0] == 200
            # What happens when the database goes away is what `health` is told by every write.
            async with report.following(recorder._worker, health):
                health.failed(WriteKind.HEARTBEAT, "gone")
                away = (await asyncio.to_thread(ask, f"{url}/metrics"))[1].splitlines()
            assert {"recorder_self_database_up 0.0", "recorder_self_write_failures 1.0"} <= {*away}
            counters = recorder.counters.as_dict()
            assert f'recorder_self_polls_total{{outcome="answered"}} {counters["polls"]:.1f}' in metrics
            return metrics

    with served(report) as url:
        metrics = asyncio.run(scenario(url))
    assert {
        *("recorder_self_database_up 1.0", "recorder_self_results_unwritten 0.0"),
        *("recorder_self_errors_total 0.0", "recorder_self_polls_in_flight 0.0"),
    } <= {*metrics.splitlines()}
    assert "recorder_self_last_write_timestamp_seconds 1." in metrics
    documented = first_codes(table("docs/deployment.md", "A recorder's own metrics"))
    assert set(re.findall(r"^# TYPE (recorder_\w+)", metrics, re.MULTILINE)) == {*documented}
    assert {found for found in violations(metrics) if "recorder_" in found} == set()
