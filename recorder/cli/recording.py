"""Record until stopped, or poll once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import NoReturn

import click
import structlog
from sqlalchemy import Engine

from recorder.cli.common import (
    refuse_demo_database,
    report_errors,
    settings_with_key,
    stop_on_signals,
    warn_of_misspelt_settings,
    writable_database,
)
from recorder.cli.sink_loading import load_sinks
from recorder.database_url import database_key
from recorder.log import configure_logs
from recorder.log_stream import LogStream
from recorder.notify.sinks import Sink
from recorder.polling.capacity import RAISE_FACTOR
from recorder.polling.delivery_job import DeliveryJob
from recorder.polling.self_server import SelfReport, serving_report
from recorder.polling.service import Recorder
from recorder.polling.upstream_health import Counters
from recorder.settings import Settings
from recorder.settings_loading import RECORDING
from recorder.status_file import running_recorders
from recorder.store.database_clock import DatabaseClock
from recorder.store.transactions import DatabaseUnavailableError
from recorder.upstream.client import UpstreamClient
from recorder.upstream.descriptors import RESERVED, fit_to_limit

_log = structlog.get_logger("recorder")


@report_errors
def record(*, once: bool, every: timedelta | None = None) -> None:
    """Run a recorder; the exit status is 1 if results are lost, or with `once` if polls failed.

    `every` is how often it is run with `once`, None if that is to be seen.
    """
    settings, api_key = settings_with_key(RECORDING)
    log = configure_logs(settings.log_format)
    warn_of_misspelt_settings(_log.warning)
    settings, most_at_once = _fit_to_descriptors(settings)
    sinks = load_sinks(settings)
    report = SelfReport()
    port = None if once else settings.metrics_port
    with _serving(port, report), writable_database(settings, wait=not once) as engine:
        refuse_demo_database(settings, engine)
        if not once:
            _warn_of_others(settings)
        recorder, error, stuck = asyncio.run(
            _record(settings, sinks, api_key, engine, most_at_once, report=report, once=once, every=every)
        )
        if stuck:
            _end_now(recorder, error, log)
    if error is not None:
        raise error
    if recorder.unwritten or recorder.unusable:
        raise click.exceptions.Exit(1)
    if once:
        _print_counts(recorder.counters)


def _warn_of_others(settings: Settings) -> None:
    """Warn if another recorder writes to the same SQLite file: they would wait for each other."""
    others = running_recorders(database_key(settings.database_url))
    if others and settings.write_url.get_backend_name() == "sqlite":
        pid = others[0].process.pid
        _log.warning("another recorder records into this SQLite file; run only one", pid=pid)


@contextmanager
def _serving(port: int | None, report: SelfReport) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(serving_report(port, report))
        except OSError as error:
            raise click.ClickException(
                f"cannot serve the recorder's metrics on port {port}: {error.strerror or error}; "
                "choose another with RECORDER_METRICS_PORT"
            ) from None
        yield


def _end_now(recorder: Recorder, error: DatabaseUnavailableError | None, log: LogStream) -> NoReturn:
    """End without waiting for threads that still wait for the database, as Python would."""
    if error is not None:
        click.echo(f"Error: the database cannot be used: {error}", err=True)
    log.drain()
    os._exit(1 if recorder.unwritten or recorder.unusable or error is not None else 0)


def _print_counts(counters: Counters) -> None:
    """Print what was polled; end with exit status 1 if polls failed, except of groups known to be gone."""
    gone, put_off = counters["still_gone"], counters["put_off"]
    failures = counters["failures"] - gone
    also = (f", {gone} still gone" if gone else "") + (f", {put_off} put off" if put_off else "")
    click.echo(f"{counters['polls']} polled, {failures} failed{also}, {counters['entries']} written")
    if failures or put_off:
        raise click.exceptions.Exit(1)


def _fit_to_descriptors(settings: Settings) -> tuple[Settings, int]:
    """Return the settings with no more requests at once than this process may have file descriptors for, and
    how many there may be while answers are slow."""
    usable = fit_to_limit(settings.concurrency * RAISE_FACTOR)
    if usable < 1:
        raise click.ClickException(
            f"this process may have too few file descriptors (ulimit -n); allow at least {RESERVED + 1}"
        )
    if usable < settings.concurrency:
        _log.warning(
            "fewer requests at once than RECORDER_CONCURRENCY, as file descriptors are limited (ulimit -n)",
            concurrency=usable,
            needed_descriptors=settings.concurrency + RESERVED,
        )
    return settings.model_copy(update={"concurrency": min(usable, settings.concurrency)}), usable


async def _record(
    settings: Settings,
    sinks: Sequence[Sink],
    api_key: str,
    engine: Engine,
    most_at_once: int,
    *,
    report: SelfReport,
    once: bool,
    every: timedelta | None,
) -> tuple[Recorder, DatabaseUnavailableError | None, bool]:
    """Run a recorder to its end; return it, the error that ended it, if any, and whether a thread of it is
    stuck."""
    clock = DatabaseClock()
    async with UpstreamClient(
        base_url=settings.base_url,
        prefix=settings.upstream_prefix,
        api_key=api_key,
        timeout_seconds=settings.request_timeout,
        max_body_bytes=settings.max_body,
        concurrency=most_at_once,
        now=clock,
    ) as client:
        recorder = Recorder(settings, engine, client, clock, most_at_once=most_at_once)
        deliveries = DeliveryJob(sinks, engine, clock)
        stop = stop_on_signals(asyncio.get_running_loop())
        problem = None
        try:
            if once:
                await recorder.run_once(stop, every)
                await deliveries.run_once(stop)
            else:
                async with deliveries.running(stop), recorder.reporting_to(report):
                    await recorder.run(stop)
        except DatabaseUnavailableError as error:
            problem = error
        return recorder, problem, recorder.stuck or deliveries.stuck
