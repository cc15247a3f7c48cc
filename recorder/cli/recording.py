"""Record until stopped, or poll once."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta
from typing import NoReturn

import click
from sqlalchemy import Engine

from recorder.cli.common import report_errors, settings_with_key, stop_on_signals, writable_database
from recorder.log import configure_logs
from recorder.polling.service import Recorder
from recorder.polling.upstream_health import Counters
from recorder.settings import Settings
from recorder.store.database_clock import DatabaseClock
from recorder.store.transactions import DatabaseUnavailableError
from recorder.upstream.client import UpstreamClient


@report_errors
def record(*, once: bool, every: timedelta | None = None) -> None:
    """Run a recorder; the exit status is 1 if results are lost, or with `once` if polls failed.

    `every` is how often it is run with `once`, None if that is to be seen.
    """
    settings, api_key = settings_with_key()
    configure_logs(settings.log_format)
    with writable_database(settings, wait=not once) as engine:
        recorder, error = asyncio.run(_record(settings, api_key, engine, once=once, every=every))
        if recorder.stuck:
            _end_now(recorder, error)
    if error is not None:
        raise error
    if recorder.unwritten:
        raise click.exceptions.Exit(1)
    if once:
        _print_counts(recorder.counters)


def _end_now(recorder: Recorder, error: DatabaseUnavailableError | None) -> NoReturn:
    """End without waiting for threads that still wait for the database, as Python would."""
    if error is not None:
        click.echo(f"Error: the database cannot be used: {error}", err=True)
    sys.stderr.flush()
    os._exit(1 if recorder.unwritten or error is not None else 0)


def _print_counts(counters: Counters) -> None:
    """Print what was polled; end with exit status 1 if polls failed, except of groups known to be gone."""
    gone = counters["still_gone"]
    failures = counters["failures"] - gone
    also = f", {gone} still gone" if gone else ""
    click.echo(f"{counters['polls']} polled, {failures} failed{also}, {counters['entries']} written")
    if failures:
        raise click.exceptions.Exit(1)


async def _record(
    settings: Settings, api_key: str, engine: Engine, *, once: bool, every: timedelta | None
) -> tuple[Recorder, DatabaseUnavailableError | None]:
    """Run a recorder to its end; return it, and the error that ended it, if any."""
    clock = DatabaseClock()
    async with UpstreamClient(
        base_url=settings.base_url,
        prefix=settings.upstream_prefix,
        api_key=api_key,
        timeout_seconds=settings.request_timeout,
        max_body_bytes=settings.max_body,
        concurrency=settings.concurrency,
        now=clock,
    ) as client:
        recorder = Recorder(settings, engine, client, clock)
        stop = stop_on_signals(asyncio.get_running_loop())
        try:
            await (recorder.run_once(stop, every) if once else recorder.run(stop))
        except DatabaseUnavailableError as error:
            return recorder, error
        return recorder, None
