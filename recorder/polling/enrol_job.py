"""A job that takes in the groups that programs write into a folder."""

from __future__ import annotations

from functools import partial
from itertools import islice
from pathlib import Path

import structlog
from sqlalchemy import Connection

from recorder.clock import Clock
from recorder.enrolment_folder import EnrolmentFolder, FolderContent, created_groups
from recorder.ledger.entries import Action
from recorder.ledger.transitions import Rules
from recorder.polling.background import BackgroundThread
from recorder.polling.db_writer import DatabaseWriter
from recorder.polling.write_health import WriteKind
from recorder.settings import Settings
from recorder.store.batches import BATCH
from recorder.store.requested import take_created_many
from recorder.store.watch_changes import WatchOutcomes

FOLDER_TIMEOUT_SECONDS = 60.0
"""How long reading the folder may take before its file system is considered dead."""
_NAMED = 10
"""How many groups of a batch the log names."""

_log = structlog.get_logger("recorder")


class EnrolJob:
    """Enrols the groups in `folder`, and expects the runs that were added to them.

    Several recorders may read the same folder: the database keeps what was taken in. What cannot be taken in
    yet, because a group is being polled or the database is away, waits for the next run.
    """

    check_seconds = 1.0

    def __init__(self, folder: Path, writer: DatabaseWriter, *, actor: str, now: Clock, rules: Rules) -> None:
        self._path = folder
        self._folder = EnrolmentFolder(folder)
        self._writer = writer
        self._actor = actor
        self._now = now
        self._rules = rules
        self._waiting: dict[str, dict[str, int]] = {}
        self._failing = False
        self._thread = BackgroundThread("recorder-enrolment", FOLDER_TIMEOUT_SECONDS)

    @property
    def stuck(self) -> bool:
        """Whether the folder is being read; its thread would keep the process from exiting."""
        return self._thread.stuck

    def close(self) -> None:
        self._thread.close()

    async def run(self) -> None:
        """Take in what is new. A folder that cannot be read is logged once until it can be again.

        Raises:
            DatabaseUnavailableError: the rest waits for the next run.
        """
        more = True
        while more:
            content = await self._read()
            for taskgroup_id, runs in created_groups(content.lines).items():
                self._waiting.setdefault(taskgroup_id, {}).update(runs)
            for complaint in content.complaints:
                _log.error("cannot take in what a program wrote", reason=complaint)
            await self._take()
            more = content.more

    async def _read(self) -> FolderContent:
        if len(self._waiting) > BATCH:
            return FolderContent()
        try:
            content = await self._thread.run(self._folder.read)
        except (OSError, TimeoutError) as error:
            if not self._failing:
                self._failing = True
                _log.error("cannot read the enrolment folder", folder=str(self._path), reason=str(error))
            return FolderContent()
        self._failing = False
        return content

    async def _take(self) -> None:
        waiting = iter(list(self._waiting))
        while ids := list(islice(waiting, BATCH)):
            batch = {one: self._waiting[one] for one in ids}
            outcomes = await self._writer.write(partial(self._write, batch=batch), WriteKind.ENROLMENTS)
            for taskgroup_id in outcomes:
                del self._waiting[taskgroup_id]
            _log_outcomes(outcomes)

    def _write(self, connection: Connection, batch: dict[str, dict[str, int]]) -> WatchOutcomes:
        return take_created_many(
            connection, batch, actor=self._actor, now=self._now, rules=self._rules, claimed_too=False
        )


def enrol_job_of(settings: Settings, writer: DatabaseWriter, now: Clock) -> EnrolJob | None:
    """Return the job that the settings ask for, None if they do not."""
    if settings.enrol_dir is None:
        return None
    return EnrolJob(settings.enrol_dir, writer, actor=settings.actor, now=now, rules=settings.rules)


def _log_outcomes(outcomes: WatchOutcomes) -> None:
    enrolled = [one for one, outcome in outcomes.items() if outcome in (Action.STARTED, Action.RESUMED)]
    for taskgroup_id in enrolled[:_NAMED]:
        _log.info("enrolled", taskgroup_id=taskgroup_id)
    if len(enrolled) > _NAMED:
        _log.info("enrolled", more=len(enrolled) - _NAMED)
    for taskgroup_id, outcome in outcomes.items():
        if isinstance(outcome, Exception):
            _log.error("cannot enrol what a program wrote", taskgroup_id=taskgroup_id, reason=str(outcome))
