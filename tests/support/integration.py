"""Find the integration tests: those that need another process, a socket or PostgreSQL."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

MARK = "integration"
_FIXTURES = {"forker", "postgres", "stage", "start", "start_upstream", "upstream", "url"}
_MODULES = {
    "pty",
    "socket",
    "subprocess",
    "tests.end_to_end.faketime",
    "tests.faults.stage",
    "tests.support.breakable_postgres",
    "tests.support.chromium",
    "tests.support.pgbouncer",
    "tests.support.postgres",
    "tests.support.program",
    "tests.support.real_upstream",
    "tests.support.simulator",
    "tests.support.stub_server",
    "tests.upstream.clients",
}
"""Modules that only integration tests import."""
_EVENTS = {
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "socket.bind",
    "socket.connect",
    "subprocess.Popen",
}


def is_integration(item: pytest.Item) -> bool:
    """Whether a test needs another process, a socket or PostgreSQL, judging by its fixtures and module."""
    assert isinstance(item, pytest.Function)
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return (
        any(isinstance(value, str) and value == "postgresql" for value in parameters)
        or not _FIXTURES.isdisjoint(item.fixturenames)
        or any(_origin(value) in _MODULES for value in vars(item.module).values())
    )


def _origin(value: Any) -> str | None:
    return value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)


class Isolation:
    """Forbids processes and sockets in tests that are not marked as integration tests."""

    def __init__(self) -> None:
        self._active = False
        sys.addaudithook(self._check)

    @contextmanager
    def during(self, item: pytest.Item) -> Iterator[None]:
        self._active = item.get_closest_marker(MARK) is None
        try:
            yield
        finally:
            self._active = False

    def _check(self, event: str, _arguments: object) -> None:
        if self._active and event in _EVENTS:
            raise RuntimeError(f"{event} in a test that is not marked with pytest.mark.{MARK}")
