"""A job that archives old groups while the recorder runs, by one recorder at a time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy import Engine

from recorder.audit.archive.archiver import ArchiveError, remove_ledgers, require_removal, write_ledgers
from recorder.audit.archive.selection import ArchiveFilter, plan_archive
from recorder.audit.exporter import ExportError
from recorder.clock import Clock
from recorder.polling.background import BackgroundThread
from recorder.settings import Settings
from recorder.store.archive_turns import free_turn, keep_turn, take_turn
from recorder.store.engine import open_engine
from recorder.store.transactions import writing

ARCHIVE_TIMEOUT_SECONDS = 86400.0
"""How long an archive may take before its connection is considered dead."""
TURN = timedelta(minutes=10)
"""How long a recorder that died keeps the others from archiving."""
REST = timedelta(days=1)
"""The time between two archives."""
_KEEP_SECONDS = 60.0

_NAME = "archive-%Y%m%dT%H%M%SZ.ndjson.zst"
_log = structlog.get_logger("recorder")


class _InterruptedError(Exception):
    """The recorder is being stopped."""


class ArchiveJob:
    """Archives groups whose newest entry is older than `age` into `folder`, at most once in REST."""

    check_seconds = 60.0
    """How often to check whether it is time."""

    def __init__(self, engine: Engine, folder: Path, age: timedelta, now: Clock, owner: str) -> None:
        self._engine = engine
        self._folder = folder
        self._age = age
        self._now = now
        self._owner = owner
        self._failing = False
        self._closing = False
        self._kept_at = 0.0
        self._thread = BackgroundThread("recorder-archives", ARCHIVE_TIMEOUT_SECONDS)

    @property
    def stuck(self) -> bool:
        """Whether an archive is being made; its thread would keep the process from exiting."""
        return self._thread.stuck

    def close(self) -> None:
        self._closing = True
        self._thread.close()

    async def run(self) -> None:
        """Archive if it is time. Repeated errors are logged once.

        Raises:
            DatabaseUnavailableError: the database cannot be used at the moment.
        """
        try:
            await self._thread.run(self._take_turn)
        except (OSError, ArchiveError, ExportError) as error:
            if not self._failing:
                self._failing = True
                _log.error("cannot archive", folder=str(self._folder), reason=str(error))
            return
        self._failing = False

    def _take_turn(self) -> None:
        now = self._now()
        with writing(self._engine) as connection:
            if not take_turn(connection, self._owner, now, now + TURN):
                return
        rest = TURN
        try:
            self._archive(now)
            rest = REST
        except _InterruptedError:
            rest = timedelta()
        finally:
            with writing(self._engine) as connection:
                free_turn(connection, self._owner, self._now() + rest)

    def _archive(self, now: datetime) -> None:
        require_removal(self._engine)
        reader = open_engine(self._engine.url, read_only=True, primary=True)
        try:
            plan = plan_archive(reader, ArchiveFilter(now - self._age), now, self._tell)
            if plan.damaged:
                _log.warning("groups with findings are not archived", groups=len(plan.damaged))
            if not plan.ids:
                return
            path = self._folder / now.astimezone(UTC).strftime(_NAME)
            written = write_ledgers(reader, plan, path, self._tell)
        finally:
            reader.dispose()
        groups = entries = 0
        for removed in remove_ledgers(self._engine, written, self._now):
            groups, entries = groups + removed.groups, entries + removed.entries
            self._tell("", groups, len(plan.ids))
        _log.info("archived", file=str(path), sha256=written.sha256, groups=groups, entries=entries)

    def _tell(self, _phase: str, _done: int, _total: int) -> None:
        """Keep the turn; stop if the recorder does."""
        if self._closing:
            raise _InterruptedError
        if time.monotonic() - self._kept_at >= _KEEP_SECONDS:
            self._kept_at = time.monotonic()
            with writing(self._engine) as connection:
                if not keep_turn(connection, self._owner, self._now() + TURN):
                    raise ArchiveError("another recorder has begun to archive meanwhile")


def archive_job_of(settings: Settings, engine: Engine, now: Clock, owner: str) -> ArchiveJob | None:
    """Return the job that the settings ask for, None if they do not."""
    if settings.archive_dir is None or not settings.archive_after:
        return None
    age = timedelta(seconds=settings.archive_after)
    return ArchiveJob(engine, settings.archive_dir, age, now, owner)
