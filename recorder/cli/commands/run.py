"""`recorder run`: record until stopped, or poll once."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from datetime import timedelta

import click
from sqlalchemy import Engine

from recorder.cli.common import (
    display_url,
    opened_database,
    report_errors,
    require_file,
    settings_with_key,
    stop_on_signals,
    writable_database,
)
from recorder.clock import utc_now
from recorder.log import configure_logs
from recorder.polling.service import Recorder
from recorder.polling.upstream_health import Counters
from recorder.settings import Settings, load_settings
from recorder.store.heartbeats import ALIVE_SECONDS, heartbeats
from recorder.store.schema import SchemaError, require_head, state_of
from recorder.store.transactions import DatabaseUnavailableError, reading
from recorder.upstream.client import UpstreamClient


@click.command("run")
@click.option("--once", is_flag=True, help="Poll every group that is due once, then exit; for cron.")
@click.option("--check", is_flag=True, help="Check that a recorder is running on this machine, then exit.")
@report_errors
def command(once: bool, check: bool) -> None:
    """Record: poll every watched group on its schedule until Ctrl-C or SIGTERM.

    Several recorders may share one database; they divide the groups and the request rate among them.
    """
    if check:
        _check(load_settings())
        return
    settings, api_key = settings_with_key()
    configure_logs(settings.log_format)
    with writable_database(settings) as engine:
        recorder = asyncio.run(_record(settings, api_key, engine, once=once))
        if recorder.stuck:
            # One of its threads is still waiting for the database, and Python would wait for that thread.
            sys.stderr.flush()
            os._exit(1 if recorder.unwritten else 0)
    if recorder.unwritten:
        raise click.exceptions.Exit(1)
    if once:
        _print_counts(recorder.counters)


def _check(settings: Settings) -> None:
    """Report whether a recorder runs on this machine, as shown by its heartbeats; exit status 1 if none does.

    A read replica may lag, so the heartbeats are read where recorders write them.
    """
    host, url = socket.gethostname(), settings.write_url
    try:
        require_file(url)
        with opened_database(url, read_only=True) as engine:
            require_head(state_of(engine))
            with reading(engine) as connection:
                beats = [beat.heartbeat_at for beat in heartbeats(connection) if beat.host == host]
    except (SchemaError, DatabaseUnavailableError) as error:
        raise click.ClickException(
            f"cannot read the heartbeats in RECORDER_DATABASE_URL ({display_url(url)}): {error}"
        ) from None
    if not beats or utc_now() - max(beats) > timedelta(seconds=ALIVE_SECONDS):
        raise click.ClickException(
            f"no recorder on {host} has sent a heartbeat in the last {ALIVE_SECONDS} s"
        )
    click.echo(f"a recorder is running on {host}")


def _print_counts(counters: Counters) -> None:
    """Print what was polled; end with exit status 1 if polls failed, except of groups known to be gone."""
    gone = counters["still_gone"]
    failures = counters["failures"] - gone
    also = f", {gone} still gone" if gone else ""
    click.echo(f"{counters['polls']} polled, {failures} failed{also}, {counters['entries']} written")
    if failures:
        raise click.exceptions.Exit(1)


async def _record(settings: Settings, api_key: str, engine: Engine, *, once: bool) -> Recorder:
    async with UpstreamClient(
        base_url=settings.base_url,
        prefix=settings.upstream_prefix,
        api_key=api_key,
        timeout_seconds=settings.request_timeout,
        max_body_bytes=settings.max_body,
        concurrency=settings.concurrency,
        now=utc_now,
    ) as client:
        recorder = Recorder(settings, engine, client, utc_now)
        stop = stop_on_signals(asyncio.get_running_loop())
        if once:
            await recorder.run_once(stop)
        else:
            await recorder.run(stop)
        return recorder
