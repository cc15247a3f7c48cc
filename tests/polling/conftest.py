"""A simulated upstream, and settings for a fast recorder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from recorder.settings import Settings
from recorder.simulator import SimulatorSettings, parse_outage
from tests.polling.recorders import StartUpstream, Upstream
from tests.support.simulator import simulating


@pytest.fixture
def start_upstream(tmp_path: Path) -> Iterator[StartUpstream]:
    with ExitStack() as stack:

        def start(*outages: str) -> Upstream:
            log = tmp_path / "requests.ndjson"
            settings = SimulatorSettings(speed=20, outages=tuple(map(parse_outage, outages)), log_path=log)
            upstream = Upstream(stack.enter_context(simulating(settings)), log)
            stack.callback(upstream.close)
            return upstream

        yield start


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.chdir(tmp_path)
    fast = {"POLL_INTERVAL": "0.1", "MAX_INTERVAL": "0.6", "SETTLED_INTERVAL": "0.3", "GAP_GRACE": "8"}
    for name, text in {**fast, "RATE": "500", "REQUEST_TIMEOUT": "5", "LEASE": "30"}.items():
        monkeypatch.setenv(f"RECORDER_{name}", text)
    return Settings()
