"""What views need from their app: the database, the clock and some settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import BoundedSemaphore, Semaphore

from flask import Flask, current_app
from sqlalchemy import Engine

from recorder.clock import Clock

_KEY = "recorder"
MOST_EXPORTS = 8
"""The maximum number of simultaneous exports: half of the server's threads."""


@dataclass(frozen=True, slots=True)
class Context:
    """The read-only database, the clock and settings.

    `rate` is the limit that the recorders share, in requests per second. Estimates compare groups with the
    same value of `cohort_key` in their metadata, or all groups if it is None. `exports` limits simultaneous
    exports, because a client that stalls occupies one of the server's threads.
    """

    engine: Engine
    now: Clock
    rate: float
    cohort_key: str | None
    exports: Semaphore = field(default_factory=lambda: BoundedSemaphore(MOST_EXPORTS))


def set_context(app: Flask, context: Context) -> None:
    app.extensions[_KEY] = context


def context() -> Context:
    """Return the context of the app that handles the current request."""
    found: Context = current_app.extensions[_KEY]
    return found
