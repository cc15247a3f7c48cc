"""What libraries log about lost connections is not printed."""

from __future__ import annotations

import logging

import pytest

import recorder.store.engine  # noqa: F401 (it is what keeps them quiet)


@pytest.mark.parametrize("name", ["sqlalchemy.pool.impl.QueuePool", "psycopg"])
def test_no_traceback_is_printed(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a handler, Python prints errors to standard error, with their tracebacks."""
    monkeypatch.setattr(logging.root, "handlers", [])
    try:
        raise OSError("server closed the connection unexpectedly")
    except OSError:
        logging.getLogger(name).exception("Error closing cursor")
    assert capsys.readouterr().err == ""
