"""`recorder run`: record until told to stop, or once."""

from __future__ import annotations

import asyncio
import os
import sys

import click
from sqlalchemy import Engine

from recorder.cli.common import settings_with_key, stop_on_signals, with_words, writable_database
from recorder.clock import utc_now
from recorder.logs import configure_logs
from recorder.polling.service import Recorder
from recorder.settings import Settings
from recorder.upstream.client import UpstreamClient


@click.command("run")
@click.option("--once", is_flag=True, help="Poll every group that is due once, then end; for cron.")
@with_words
def command(once: bool) -> None:
    """Record: poll every watched group on its schedule until Ctrl-C or SIGTERM.

    Several recorders may share one database: they divide the groups and the rate between them.
    """
    settings, api_key = settings_with_key()
    configure_logs(settings.log_format)
    with writable_database(settings) as engine:
        recorder = asyncio.run(_record(settings, api_key, engine, once=once))
        if recorder.stuck:
            # A thread of it waits for the database, and Python would wait for the thread.
            sys.stderr.flush()
            os._exit(1 if recorder.unwritten else 0)
    if recorder.unwritten:
        raise click.exceptions.Exit(1)
    counters = recorder.counters
    if once:
        click.echo(
            f"{counters['polls']} polled, {counters['failures']} failed, {counters['entries']} written"
        )
        if counters["failures"]:
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
