"""The stream of a group's runs, as the upstream sends it: one event for each run, and an end. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from recorder.ledger.timestamps import format_time
from recorder.simulator.runs import ACTIVE, Life, RunStatus

EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class SimulatedRun:
    """A run that was added at `created_at`. `speed` is the number of simulated seconds in a real one."""

    number: int
    run_id: str
    taskgroup_id: str
    processor: str
    life: Life
    created_at: datetime
    speed: float

    def body(self, now: datetime) -> dict[str, Any]:
        """Return the run as the upstream describes it at `now`."""
        moments = [
            self.created_at + timedelta(microseconds=round(step.seconds * 1_000_000 / self.speed))
            for step in self.life
        ]
        reached = max(index for index, moment in enumerate(moments) if index == 0 or moment <= now)
        status = self.life[reached].status
        failed = {
            "ref_id": str(uuid5(NAMESPACE_OID, self.run_id)),
            "message": "the run failed",
            "detail": None,
        }
        return {
            "run_id": self.run_id,
            "interaction_id": self.run_id,
            "taskgroup_id": self.taskgroup_id,
            "status": str(status),
            "is_active": status in ACTIVE,
            "processor": self.processor,
            "metadata": None,
            "error": failed if status is RunStatus.FAILED else None,
            "warnings": None,
            "created_at": format_time(self.created_at),
            "modified_at": format_time(moments[reached]),
        }


def run_events(
    runs: Iterable[SimulatedRun], now: datetime, *, after: str, status: str | None
) -> Iterator[bytes]:
    """Yield the events of `runs`, but for those up to the event `after` and those not in `status`."""
    skipped = int(after) if after.isascii() and after.isdecimal() else 0
    for run in runs:
        body = run.body(now)
        if run.number <= skipped or (status is not None and body["status"] != status):
            continue
        event = {
            "type": "task_run.state",
            "event_id": str(run.number),
            "run": body,
            "input": None,
            "output": None,
        }
        text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        yield f"event: task_run.state\ndata: {text}\n\n".encode()
