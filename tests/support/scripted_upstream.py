"""A client of the simulated upstream that also reads its request log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import httpx

from tests.support.program import KEY
from tests.support.request_log import read_log


class Upstream:
    """Creates groups at the upstream at `url`."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self._log = log
        self._http = httpx.Client(base_url=url, headers={"x-api-key": KEY}, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a recorder that polls this upstream."""
        return {"PARALLEL_BASE_URL": self.url}

    def create(self, runs: int = 0) -> str:
        """Create a group with `runs` runs; return its id."""
        answer = self._http.post("/v1beta/tasks/groups", json={}).raise_for_status()
        taskgroup_id = str(answer.json()["taskgroup_id"])
        if runs:
            self.add_runs(taskgroup_id, runs)
        return taskgroup_id

    def add_runs(self, taskgroup_id: str, runs: int) -> None:
        self._http.post(
            f"/v1beta/tasks/groups/{taskgroup_id}/runs",
            json={"inputs": [{"input": "who?", "processor": "lite"}] * runs},
        ).raise_for_status()

    def answered(self, taskgroup_id: str) -> list[dict[str, Any]]:
        """The bodies of the upstream's successful responses to polls of a group."""
        lines = read_log(self._log)
        return [
            json.loads(line["body"])
            for line in lines
            if (line["method"], line["taskgroup_id"], line["status"]) == ("GET", taskgroup_id, 200)
        ]
