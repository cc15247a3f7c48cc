"""Pages over a fresh database; their clock shows 100 seconds after noon unless a test sets it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import Engine

from api.app import create_app
from tests.support.api_client import Clock
from tests.support.browsing import Browser
from tests.support.databases import Engines
from tests.support.recording import Recording


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recording(engine: Engine) -> Recording:
    return Recording(engine)


@pytest.fixture
def app(kept_engines: Engines, database_url: str, clock: Clock) -> Iterator[Flask]:
    with kept_engines.open(database_url, read_only=True) as engine:
        yield create_app(engine, now=clock)


@pytest.fixture
def browser(app: Flask) -> Browser:
    return Browser(app)
