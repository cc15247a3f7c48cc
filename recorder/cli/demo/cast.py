"""The groups of the demo, and the client that creates them at the simulator."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx

ADD_LATER_SECONDS = 12.0
"""When runs are added to a group that has settled by then."""

CastMetadata = dict[str, str | int | bool]

_CUSTOMERS = ("acme", "globex", "initech", "umbrella")
_PROCESSORS = ("lite", "base", "core", "pro")
_INPUT = "Who makes it, since when, and where?"


@dataclass(frozen=True, slots=True)
class Role:
    """One group: its metadata, how many runs of which processor, and how the simulator ends them."""

    metadata: CastMetadata
    runs: int
    processor: str
    steering: dict[str, str] = field(default_factory=dict)


def roles() -> Iterator[Role]:
    """Yield the demo's 40 groups."""
    customers, processors = itertools.cycle(_CUSTOMERS), itertools.cycle(_PROCESSORS)
    for number in range(32):
        processor = next(processors)
        metadata: CastMetadata = {"customer": next(customers), "processor": processor, "batch": number}
        yield Role(metadata, 5 + number * 7 % 60, processor)
    yield _special("added to later", 8, "lite", {"x-simulator-seconds": "20"})
    yield _special("waits for action", 12, "lite", {"x-simulator-outcome": "blocked"})
    yield _special("all fail", 10, "base", {"x-simulator-outcome": "failed"})
    yield _special("all cancelled", 10, "base", {"x-simulator-outcome": "cancelled"})
    yield _special("mixed ends", 40, "core", {"x-simulator-outcome": "mixed"})
    yield _special("a thousand runs", 1000, "pro", {})
    yield _special("never started", 0, "lite", {})
    yield _special("very slow", 6, "ultra8x", {})


def _special(kind: str, runs: int, processor: str, steering: dict[str, str]) -> Role:
    return Role({"customer": "hooli", "processor": processor, "kind": kind}, runs, processor, steering)


class Client:
    """Creates groups at the simulator, as a customer does."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=f"{url}/v1beta", headers={"x-api-key": "demo"})

    def close(self) -> None:
        self._http.close()

    def create(self, role: Role) -> str:
        """Create a group with its runs; return its id."""
        answer = self._http.post("/tasks/groups", json={"metadata": role.metadata}).raise_for_status()
        taskgroup_id = str(answer.json()["taskgroup_id"])
        if role.runs:
            self.add_runs(taskgroup_id, role)
        return taskgroup_id

    def add_runs(self, taskgroup_id: str, role: Role) -> None:
        inputs = [{"input": _INPUT, "processor": role.processor}] * role.runs
        self._http.post(
            f"/tasks/groups/{taskgroup_id}/runs", json={"inputs": inputs}, headers=role.steering
        ).raise_for_status()
