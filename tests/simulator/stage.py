"""The example scenario in a running simulator, with one group per scene, and a reference without it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from recorder.simulator import Scene, SimulatorSettings, parse_scenario
from tests.support.pages import ROOT
from tests.support.simulator import SIMULATOR_KEY, ManualClock, simulating

EXAMPLE = ROOT / "docs/examples/scenario.toml"
SCENES = parse_scenario(EXAMPLE.read_bytes())
PLAYS = {str(scene.label["plays"]): scene for scene in SCENES if "plays" in scene.label}
"""The value of `plays` in a group's metadata, and the scene that it selects."""


def group_of(client: httpx.Client, metadata: dict[str, Any] | None = None, runs: bool = True) -> str:
    """Create a group, by default with three runs that complete after 1 s and two long ones."""
    group = str(client.post("/v1/tasks/groups", json={"metadata": metadata}).json()["taskgroup_id"])
    for count, seconds in ((3, 1), (2, 1000)) if runs else ():
        headers = {"x-simulator-outcome": "completed", "x-simulator-seconds": str(seconds)}
        inputs = {"inputs": [{"input": "who?", "processor": "lite"}] * count}
        assert client.post(f"/v1/tasks/groups/{group}/runs", json=inputs, headers=headers).status_code == 200
    return group


@dataclass(frozen=True, slots=True)
class Stage:
    """`client` uses a simulator with the scenario, `reference` one with the same groups and no scenario."""

    client: httpx.Client
    reference: httpx.Client
    log: Path
    groups: dict[str, str]
    empty: dict[str, str]

    def get(self, plays: str) -> httpx.Response:
        return self.client.get(f"/v1/tasks/groups/{self.groups[plays]}")

    def reference_text(self, plays: str) -> str:
        return self.reference.get(f"/v1/tasks/groups/{self.groups[plays]}").text

    def raw(self, plays: str) -> bytes:
        """Return all bytes of a response, up to the end of its connection."""
        with self.connect(plays) as connection:
            received = b""
            while chunk := connection.recv(65_536):
                received += chunk
        return received

    def connect(self, plays: str) -> socket.socket:
        """Request a group on a separate connection."""
        url = self.client.base_url
        connection = socket.create_connection((url.host, url.port or 0), timeout=30)
        request = f"GET /v1/tasks/groups/{self.groups[plays]} HTTP/1.1\r\nHost: simulator\r\n"
        connection.sendall(f"{request}Connection: close\r\nx-api-key: {SIMULATOR_KEY}\r\n\r\n".encode())
        return connection

    def last_line(self, plays: str) -> dict[str, Any]:
        """The last line of the log about a group."""
        lines = map(json.loads, self.log.read_text("utf-8").splitlines())
        return [line for line in lines if line["taskgroup_id"] == self.groups[plays]][-1]


@contextmanager
def staged(scenes: tuple[Scene, ...], clock: ManualClock, log: Path) -> Iterator[Stage]:
    with ExitStack() as stack:

        def client(scenario: tuple[Scene, ...], log_path: Path | None) -> httpx.Client:
            settings = SimulatorSettings(seed=4, scenario=scenario, log_path=log_path)
            url = stack.enter_context(simulating(settings, clock))
            headers = {"x-api-key": SIMULATOR_KEY}
            return stack.enter_context(
                httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30)
            )

        scenario_client, reference = client(scenes, log), client((), None)
        created = []
        for each in (scenario_client, reference):
            groups = {plays: group_of(each, {"plays": plays}) for plays in PLAYS}
            empty = {plays: group_of(each, {"plays": plays}, runs=False) for plays in PLAYS}
            created.append((groups, empty))
        assert created[0] == created[1]
        clock.advance(10)
        yield Stage(scenario_client, reference, log, *created[0])
