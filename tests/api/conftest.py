"""Clients of an API over a fresh database; its clock shows 100 seconds after noon unless a test sets it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

from api.app import DEFAULT_RATE, create_app
from api.context import Context, set_context
from api.exports import batches
from tests.support.api_client import Client, Clock, app_without_database
from tests.support.databases import Engines
from tests.support.recording import Recording


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recording(engine: Engine) -> Recording:
    return Recording(engine)


@pytest.fixture(scope="session")
def kept_apps() -> dict[Engine, Flask]:
    """Apps by engine: to create one takes longer than most tests."""
    return {}


@pytest.fixture
def app(
    kept_engines: Engines, kept_apps: dict[Engine, Flask], database_url: str, clock: Clock
) -> Iterator[Flask]:
    with kept_engines.open(database_url, read_only=True) as engine:
        if engine not in kept_apps:
            kept_apps[engine] = create_app(engine)
        app = kept_apps[engine]
        set_context(app, Context(engine, clock, DEFAULT_RATE, None))
        yield app


@pytest.fixture
def client(app: Flask) -> Client:
    return Client(app)


@pytest.fixture(scope="session")
def offline() -> Client:
    """A client of an API whose database cannot be opened, for requests that do not need one."""
    return Client(app_without_database())


@pytest.fixture
def flask_client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make exports read two items at a time."""
    monkeypatch.setattr(batches, "EXPORT_BATCH", 2)
