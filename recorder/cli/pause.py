"""`recorder pause`: stop asking for groups until they are resumed."""

from __future__ import annotations

from sqlalchemy import Engine

from recorder.cli.changes import change_command
from recorder.clock import utc_now
from recorder.ledger.entries import Action
from recorder.settings import Settings
from recorder.store.enrolment import Patience, cease_watching


def _pause(
    engine: Engine, settings: Settings, taskgroup_id: str, note: str | None, patience: Patience
) -> Action | None:
    return cease_watching(
        engine,
        taskgroup_id,
        Action.PAUSED,
        actor=settings.actor,
        note=note,
        now=utc_now,
        patience=patience,
    )


command = change_command(
    "pause",
    "Stop asking for groups until `recorder resume`; what happens meanwhile is no gap.",
    _pause,
    stood="was not being watched",
)
