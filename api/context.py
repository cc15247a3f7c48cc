"""What views need from their app: the database, the clock and some settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from threading import BoundedSemaphore, Semaphore

from flask import Flask, current_app, g
from sqlalchemy import Connection, Engine

from recorder.clock import Clock
from recorder.queries.ledger_heads import CheckpointDigests, CheckpointFolder
from recorder.store.data_time import DataTime, data_time
from recorder.store.transactions import reading

_KEY = "recorder"
MOST_EXPORTS = 8
"""The maximum number of simultaneous exports: half of the server's threads."""


@dataclass(frozen=True, slots=True)
class Context:
    """The read-only database, the clock (None: the database's) and settings.

    `rate` is the limit that the recorders share, in requests per second. Estimates compare groups with the
    same value of `cohort_key` in their metadata, or all groups if it is None. `exports` limits simultaneous
    exports, because a client that stalls occupies one of the server's threads. `checkpoint_folder` is where
    a recorder on the same machine keeps checkpoints, as far as is known.
    """

    engine: Engine
    clock: Clock | None
    rate: float
    cohort_key: str | None
    checkpoint_folder: CheckpointFolder | None = None
    exports: Semaphore = field(default_factory=lambda: BoundedSemaphore(MOST_EXPORTS))
    checkpoint_digests: CheckpointDigests = field(default_factory=CheckpointDigests)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A transaction that reads the database, and how recent its data is."""

    connection: Connection
    time: DataTime

    @property
    def now(self) -> datetime:
        """The moment by which to judge the data: what should have happened later may not be in it yet."""
        return self.time.at


@contextmanager
def snapshot() -> Iterator[Snapshot]:
    """Read the database for the current request, whose response tells the age of the data.

    Raises:
        DatabaseUnavailableError: the database cannot be read now.
    """
    here = context()
    with reading(here.engine) as connection:
        time = data_time(connection, here.clock)
        g.data_age = time.age_seconds
        yield Snapshot(connection, time)


def data_age() -> float | None:
    """Return the age in seconds of the data that was read for the current request, None if none was."""
    age: float | None = g.get("data_age")
    return age


def set_context(app: Flask, context: Context) -> None:
    app.extensions[_KEY] = context


def context() -> Context:
    """Return the context of the app that handles the current request."""
    found: Context = current_app.extensions[_KEY]
    return found
