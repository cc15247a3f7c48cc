"""`recorder notify`: check, try and list the sinks of events, and deliver again what failed."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from recorder.cli.common import exit_with, report_errors, writable_database
from recorder.cli.output.console import answer, column_table, console, json_option, plain, print_json
from recorder.cli.output.format import ago_text, count_text
from recorder.cli.sink_loading import SETTING, load_sink_file, load_sinks
from recorder.clock import utc_now
from recorder.notify.events import EventType
from recorder.notify.made_up import made_up_event
from recorder.notify.sinks import Sink
from recorder.queries.sinks import sink_body
from recorder.settings import Settings, SettingsError
from recorder.settings_loading import load_settings
from recorder.store.database_clock import clock_of
from recorder.store.deliveries import SinkState, replay, sink_states
from recorder.store.transactions import writing


@click.group("notify")
def command() -> None:
    """Check, try and list the sinks of events."""


@command.command("check")
@report_errors
def check_command() -> None:
    """Name every mistake in the file of sinks; the exit status is 1 if there is one."""
    _, path = _settings_with_file()
    found = load_sink_file(path)
    for sink in found.sinks:
        types = ", ".join(kind for kind in EventType if kind in sink.events)
        click.echo(f"{plain(sink.name).plain}: {sink.kind.value}, {sink.place}: {types}")
    exit_with([f"{path}: {complaint}" for complaint in found.complaints])


@command.command("test")
@click.argument("name", required=False)
@report_errors
def test_command(name: str | None) -> None:
    """Send a made-up event to the sink NAME, by default to each; the exit status is 1 if one did not take it.

    It has `"test": true` in its data. Nothing is recorded, and nothing tried again.
    """
    settings, _ = _settings_with_file()
    chosen = _named(load_sinks(settings), name)
    failures = 0
    for sink, error in asyncio.run(_send_test(chosen)):
        failures += error is not None
        result = "took it" if error is None else f"did not take it: {error}"
        click.echo(f"{plain(sink.name).plain} {result}")
    if failures:
        raise click.exceptions.Exit(1)


async def _send_test(sinks: Sequence[Sink]) -> list[tuple[Sink, str | None]]:
    from recorder.notify.sending import Sender  # noqa: PLC0415 - takes long to load

    message_id = f"test-{uuid.uuid4().hex}"
    async with Sender(utc_now) as sender:
        attempts = [sender.send(sink, message_id, made_up_event(sink, utc_now())) for sink in sinks]
        answers = await asyncio.gather(*attempts)
    return [(sink, answer.error) for sink, answer in zip(sinks, answers, strict=True)]


@command.command("list")
@json_option
@report_errors
def list_command(as_json: bool) -> None:
    """List the sinks, with what they are still to be told and what they could not be told."""
    known, now = answer(lambda connection, now: (sink_states(connection, unlisted=True), now))
    states = [state for state in known if state.listed]
    if as_json:
        print_json({"items": [sink_body(state) for state in states]})
        return
    if states:
        console().print(_table(states, now))
    else:
        click.echo(f"no sink: none is listed in {SETTING}, or no recorder has been started with it")
    for state in known:
        if not state.listed and state.pending + state.failed:
            undelivered = count_text(state.pending + state.failed, "event")
            click.echo(f"{plain(state.name).plain} is not in the file any more: {undelivered} not delivered")


_COUNTS = ("pending", "failed")


def _table(states: Sequence[SinkState], now: datetime) -> Table:
    table = column_table()
    for heading in ("sink", "kind", "state", "pending", "failed", "last success", "last error"):
        table.add_column(heading, overflow="fold", justify="right" if heading in _COUNTS else "left")
    for state in states:
        table.add_row(*_cells(state, now))
    return table


def _cells(state: SinkState, now: datetime) -> list[str | Text]:
    body = sink_body(state)
    error = "" if state.last_error is None else f"{ago_text(body['last_error_at'], now)}: {state.last_error}"
    return [
        plain(state.name),
        state.kind,
        Text("disabled", style="red") if state.disabled_at else "enabled",
        str(state.pending),
        Text(str(state.failed), style="red" if state.failed else ""),
        ago_text(body["last_success_at"], now),
        plain(error),
    ]


@command.command("replay")
@click.argument("name", required=False)
@report_errors
def replay_command(name: str | None) -> None:
    """Deliver again what the sink NAME, by default each, could not be told, and enable it if it is disabled.

    A running recorder does so within seconds; what is still pending is tried at once, too.
    """
    with writable_database(load_settings(needed=())) as engine, writing(engine) as connection:
        known = {state.name: state for state in sink_states(connection, unlisted=True)}
        if name is not None and name not in known:
            raise click.ClickException(f"{name[:80]!a}: no recorder has had such a sink; {_are(known)}")
        if not known:
            click.echo("nothing to deliver again: no recorder has had a sink")
        now = clock_of(connection)()
        for state in known.values():
            if name in {None, state.name}:
                failed = replay(connection, state.name, now)
                enabled = ", enabled" if state.disabled_at else ""
                later = "" if state.listed else ", once it is in the file again"
                events = count_text(state.pending + failed, "event")
                click.echo(f"{plain(state.name).plain}: {events} to deliver{enabled}{later}")


def _settings_with_file() -> tuple[Settings, Path]:
    settings = load_settings(needed={"notify_file"})
    if settings.notify_file is None:
        raise SettingsError(f"{SETTING} is not set; set it to a TOML file that lists sinks of events")
    return settings, settings.notify_file


def _named(sinks: Sequence[Sink], name: str | None) -> Sequence[Sink]:
    chosen = [sink for sink in sinks if name in {None, sink.name}]
    if not chosen:
        raise click.ClickException(f"{str(name)[:80]!a}: no such sink; {_are([sink.name for sink in sinks])}")
    return chosen


def _are(names: object) -> str:
    listed = ", ".join(sorted(map(str, names)))  # type: ignore[call-overload]
    return f"there are: {listed}" if listed else "there are none"
