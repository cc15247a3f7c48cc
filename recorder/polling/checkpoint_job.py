"""A job that writes checkpoints regularly while the recorder runs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import structlog
from sqlalchemy import Engine

from recorder.audit.checkpoints import BrokenHeadError
from recorder.audit.kept_checkpoints import drop_superseded, is_due, keep_checkpoint
from recorder.clock import Clock
from recorder.polling.background import BackgroundThread
from recorder.settings import Settings

CHECKPOINT_TIMEOUT_SECONDS = 600.0
"""How long a checkpoint may take before its connection is considered dead."""

_log = structlog.get_logger("recorder")


class CheckpointJob:
    """Writes a checkpoint into `folder` every `interval`, counted from the last one of any recorder."""

    check_seconds = 5.0
    """How often to check whether a checkpoint is due."""

    def __init__(self, engine: Engine, folder: Path, interval: timedelta, now: Clock) -> None:
        self._engine = engine
        self._folder = folder
        self._interval = interval
        self._now = now
        self._failing = False
        self._thread = BackgroundThread("recorder-checkpoints", CHECKPOINT_TIMEOUT_SECONDS)

    @property
    def stuck(self) -> bool:
        """Whether a checkpoint is being written; its thread would keep the process from exiting."""
        return self._thread.stuck

    def close(self) -> None:
        self._thread.close()

    async def run(self) -> None:
        """Write a checkpoint if one is due. Repeated errors in writing the file are logged once.

        Raises:
            DatabaseUnavailableError: the database cannot be read at the moment.
        """
        try:
            path = await self._thread.run(self._write)
        except (OSError, BrokenHeadError) as error:
            if not self._failing:
                self._failing = True
                _log.error("cannot write checkpoints", folder=str(self._folder), reason=str(error))
            return
        self._failing = False
        if path is not None:
            _log.info("checkpoint written", file=str(path))

    def _write(self) -> Path | None:
        now = self._now()
        if not is_due(self._folder, self._interval, now):
            return None
        path = keep_checkpoint(self._engine, self._folder, now)
        if path is not None:
            drop_superseded(self._folder)
        return path


def checkpoint_job_of(settings: Settings, engine: Engine, now: Clock) -> CheckpointJob | None:
    """Return the job that the settings ask for, None if they do not."""
    if settings.checkpoint_dir is None:
        return None
    interval = timedelta(seconds=settings.checkpoint_interval)
    return CheckpointJob(engine, settings.checkpoint_dir, interval, now)
