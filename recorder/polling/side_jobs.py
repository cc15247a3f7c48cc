"""The jobs beside polling: those that read or write files, and the one that derives what an upgrade left."""

from __future__ import annotations

from sqlalchemy import Engine

from recorder.clock import Clock
from recorder.polling.archive_job import ArchiveJob, archive_job_of
from recorder.polling.checkpoint_job import CheckpointJob, checkpoint_job_of
from recorder.polling.derive_job import DeriveJob
from recorder.polling.enrol_job import EnrolJob
from recorder.settings import Settings

SideJob = CheckpointJob | ArchiveJob | EnrolJob | DeriveJob


def side_jobs_of(
    settings: Settings, engine: Engine, now: Clock, owner: str, enrolments: EnrolJob | None
) -> list[SideJob]:
    """Return the jobs that the settings ask for, and one that always runs; `owner` is the recorder's id."""
    checkpoints = checkpoint_job_of(settings, engine, now)
    archives = archive_job_of(settings, engine, now, owner)
    asked = [job for job in (enrolments, checkpoints, archives) if job is not None]
    return [*asked, DeriveJob(engine)]
