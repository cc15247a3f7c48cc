"""Checkpoints that the recorder writes by itself, as long as it is at work."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import structlog
from sqlalchemy import Engine

from recorder.audit.checkpoints import BrokenHeadError, is_due, keep_checkpoint
from recorder.clock import Clock

CHECK_SECONDS = 5.0
"""How often it looks whether one is due."""

_log = structlog.get_logger("recorder")


class CheckpointJob:
    """Writes a checkpoint into `folder` every `interval`, whoever wrote the one before."""

    def __init__(self, engine: Engine, folder: Path, interval: timedelta, now: Clock) -> None:
        self._engine = engine
        self._folder = folder
        self._interval = interval
        self._now = now
        self._failing = False

    async def attest(self) -> None:
        """Write a checkpoint if one is due; that the folder cannot be written is said once.

        Raises:
            DatabaseUnavailableError: the database cannot be read just now.
        """
        try:
            path = await asyncio.to_thread(self._write)
        except (OSError, BrokenHeadError) as error:
            if not self._failing:
                self._failing = True
                _log.error("no checkpoint can be written", folder=str(self._folder), reason=str(error))
            return
        self._failing = False
        if path is not None:
            _log.info("checkpoint written", file=str(path))

    def _write(self) -> Path | None:
        now = self._now()
        if not is_due(self._folder, self._interval, now):
            return None
        return keep_checkpoint(self._engine, self._folder, now)
