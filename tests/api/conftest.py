"""The API over a fresh database, asked 100 seconds after noon unless a test sets its clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

from api.app import create_app
from api.exports import batches as exports
from recorder.store.engine import check_url, open_engine
from tests.api.exporting import fill
from tests.support.api_client import Client, Clock
from tests.support.recording import Recording


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recording(engine: Engine) -> Recording:
    return Recording(engine)


@pytest.fixture
def app(database_url: str, clock: Clock) -> Iterator[Flask]:
    engine = open_engine(check_url(database_url), read_only=True)
    yield create_app(engine, now=clock)
    engine.dispose()


@pytest.fixture
def client(app: Flask) -> Client:
    return Client(app)


@pytest.fixture
def asking(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def filled(recording: Recording) -> None:
    fill(recording)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports that read two items at once."""
    monkeypatch.setattr(exports, "EXPORT_BATCH", 2)
