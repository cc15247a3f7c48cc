"""The log: no local variables in tracebacks, since the API key may be among them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from recorder.log import configure_logs

KEY = "key-recognisable-5be1"


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    yield
    structlog.reset_defaults()


def _broken(secret: str) -> float:
    return len(secret) / 0


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_shows_where_and_no_values(
    capfd: pytest.CaptureFixture[str], log_format: Literal["console", "json"]
) -> None:
    stream = configure_logs(log_format)
    try:
        _broken(KEY)
    except ZeroDivisionError:
        structlog.get_logger("recorder").exception("a bug")
    stream.drain()
    printed = capfd.readouterr().err
    assert "_broken" in printed
    assert KEY not in printed
