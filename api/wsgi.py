"""The WSGI app that the server's worker process runs, configured from the settings."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask

from api.app import create_app
from api.enrolling import EnrolmentDatabase
from recorder.log import configure_logs
from recorder.processes import end_with_parent
from recorder.queries.ledger_heads import CheckpointFolder
from recorder.settings import Settings, SettingsError
from recorder.settings_loading import SERVING, load_settings
from recorder.store.engine import PROGRAM, open_engine


def app() -> Flask:
    """Create the app for the database named in the settings."""
    end_with_parent()
    settings = load_settings(SERVING)
    configure_logs(settings.log_format)
    engine = open_engine(
        settings.read_url,
        read_only=True,
        timeout_seconds=settings.api_timeout,
        name=f"{PROGRAM} serve",
    )
    return create_app(
        engine,
        rate=settings.rate,
        tokens=settings.tokens,
        cohort_key=settings.cohort_key,
        cors_origins=settings.cors_origins,
        enrolment=_enrolment_database(settings),
        checkpoints=_checkpoint_folder(settings),
    )


def _checkpoint_folder(settings: Settings) -> CheckpointFolder | None:
    """Return the folder that the settings name; on another machine than the recorder's it may not exist."""
    try:
        folder, interval = settings.checkpoint_dir, settings.checkpoint_interval
    except SettingsError:
        return None
    return None if folder is None else CheckpointFolder(folder, timedelta(seconds=interval))


def _enrolment_database(settings: Settings) -> EnrolmentDatabase | None:
    """Open the recorder's database for enrolment if there is a token for it."""
    if not settings.may_enrol:
        return None
    engine = open_engine(
        settings.write_url, timeout_seconds=settings.api_timeout, name=f"{PROGRAM} serve, enrolment"
    )
    return EnrolmentDatabase(engine, settings.rules)
