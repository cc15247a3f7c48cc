"""The order of the tests: while some wait for clocks and processes, others compute."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

WAITING = {
    "deployment",
    "end_to_end",
    "faults",
    "test_concurrent_upgrades.py",
    "test_demo.py",
    "test_locked_rows.py",
    "test_missing_together.py",
    "test_retry_hold.py",
    "test_run.py",
    "test_secrets.py",
    "test_service.py",
    "test_slow_provider.py",
    "test_stalled_readers.py",
    "test_standby.py",
    "test_startup.py",
    "test_state_machine.py",
    "test_throttling.py",
    "test_timeouts.py",
    "test_up.py",
    "test_write_health.py",
}
"""Folders and files with slow tests, which spend most of their time waiting."""


def in_order(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """Return the tests so that each of `workers` processes, which get equal parts of them, begins rightly.

    As many as the machine has cores begin with tests that compute, and the rest with those that wait. Whoever
    is done takes over from others.
    """
    waiting = [item for item in items if not WAITING.isdisjoint(item.path.parts)]
    computing = [item for item in items if WAITING.isdisjoint(item.path.parts)]
    cores = os.cpu_count() or 1
    first_patient = cores if workers > cores else 0
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        size = (len(items) - len(ordered)) // (workers - worker)
        mine = waiting[worker - first_patient :: workers - first_patient] if worker >= first_patient else []
        others = max(0, size - len(mine))
        ordered += [*mine, *computing[:others]]
        del computing[:others]
    return ordered + computing
