"""`recorder resume`: watch groups again."""

from __future__ import annotations

from sqlalchemy import Engine

from recorder.cli.changes import change_command
from recorder.clock import utc_now
from recorder.ledger.entries import Action
from recorder.settings import Settings
from recorder.store.enrolment import Patience, resume_watching


def _resume(
    engine: Engine, settings: Settings, taskgroup_id: str, note: str | None, _patience: Patience
) -> Action | None:
    return resume_watching(
        engine, taskgroup_id, actor=settings.actor, note=note, now=utc_now, rules=settings.rules
    )


command = change_command(
    "resume",
    "Watch groups again that were paused, stopped, gone or retired.",
    _resume,
    stood="is being watched already",
)
