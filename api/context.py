"""What the views reach through their app: the database, the clock and what they need of the settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import BoundedSemaphore, Semaphore

from flask import Flask, current_app
from sqlalchemy import Engine

from recorder.clock import Clock

_KEY = "recorder"
MOST_EXPORTS = 8
"""How many exports may be read at the same time: half of what the server answers."""


@dataclass(frozen=True, slots=True)
class Context:
    """The database, opened read-only, the clock, the requests per second that its recorders share, and the
    key of the metadata that tells which groups are alike (None: all are).

    `exports` has a place for each export that may be read at the same time: a reader that stalls takes one of
    the server's threads along.
    """

    engine: Engine
    now: Clock
    rate: float
    cohort_key: str | None
    exports: Semaphore = field(default_factory=lambda: BoundedSemaphore(MOST_EXPORTS))


def set_context(app: Flask, context: Context) -> None:
    app.extensions[_KEY] = context


def context() -> Context:
    """Return the context of the app that answers the present request."""
    found: Context = current_app.extensions[_KEY]
    return found
