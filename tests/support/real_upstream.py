"""Create groups at the simulated upstream."""

from __future__ import annotations

import httpx


def create_group(url: str, runs: int) -> str:
    """Create a group with `runs` runs at the upstream at `url`; return its id."""
    with httpx.Client(base_url=f"{url}/v1beta/tasks", headers={"x-api-key": "k"}, trust_env=False) as http:
        taskgroup_id: str = http.post("/groups", json={}).raise_for_status().json()["taskgroup_id"]
        inputs = {"inputs": [{"input": "who?", "processor": "core"}] * runs}
        http.post(f"/groups/{taskgroup_id}/runs", json=inputs).raise_for_status()
        return taskgroup_id
