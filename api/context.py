"""What the views reach through their app: the database, the clock and what they need of the settings."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, current_app
from sqlalchemy import Engine

from recorder.clock import Clock

_KEY = "recorder"


@dataclass(frozen=True, slots=True)
class Context:
    """The database, opened read-only, the clock, the requests per second that its recorders share, and the
    key of the metadata that tells which groups are alike (None: all are)."""

    engine: Engine
    now: Clock
    rate: float
    cohort_key: str | None


def set_context(app: Flask, context: Context) -> None:
    app.extensions[_KEY] = context


def context() -> Context:
    """Return the context of the app that answers the present request."""
    found: Context = current_app.extensions[_KEY]
    return found
