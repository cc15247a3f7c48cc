"""`recorder unwatch`: stop watching groups."""

from __future__ import annotations

from sqlalchemy import Engine

from recorder.cli.changes import change_command
from recorder.clock import utc_now
from recorder.ledger.entries import Action
from recorder.settings import Settings
from recorder.store.enrolment import Patience, cease_watching


def _stop(
    engine: Engine, settings: Settings, taskgroup_id: str, note: str | None, patience: Patience
) -> Action | None:
    return cease_watching(
        engine,
        taskgroup_id,
        Action.STOPPED,
        actor=settings.actor,
        note=note,
        now=utc_now,
        patience=patience,
    )


command = change_command(
    "unwatch", "Stop watching groups. Their history stays.", _stop, stood="was stopped already"
)
