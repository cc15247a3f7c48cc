"""`recorder demo`: start everything, show it at work, and print a summary."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import click
from rich.console import Console

from recorder.cli.common import report_errors
from recorder.cli.demo.cast import ADD_LATER_SECONDS, Client
from recorder.cli.demo.stage import Stage, StoppedEarlyError, enrol_all, staged
from recorder.cli.demo.summary import print_summary
from recorder.cli.demo.view import view_of
from recorder.cli.number_options import SecondsType
from recorder.cli.output.console import console as plain_console
from recorder.processes import Children, stop_requests, wait_while


@click.command("demo")
@click.option("--for", "seconds", type=SecondsType(min=1), help="Stop after this many seconds.")
@report_errors
def command(seconds: float | None) -> None:
    """Show everything working together: a simulated provider, the recorder and the API.

    The demo uses a new database in a temporary folder and none of your settings.
    """
    console = plain_console()
    children = Children()
    with stop_requests() as asked:
        try:
            with suppress(StoppedEarlyError), staged(children, asked) as stage:
                ended = _play(console, stage, children, until=_end(seconds, asked))
                if ended is not None:
                    raise click.ClickException(f"{ended} ended unexpectedly; see {stage.log}")
                print_summary(console, stage)
        finally:
            children.stop()


def _end(seconds: float | None, asked: Callable[[], bool]) -> Callable[[], bool]:
    deadline = None if seconds is None else time.monotonic() + seconds
    return lambda: asked() or (deadline is not None and time.monotonic() >= deadline)


def _play(console: Console, stage: Stage, children: Children, until: Callable[[], bool]) -> str | None:
    """Enrol the groups and show them until the end; return the name of a process that ended before."""
    _print_addresses(console, stage)
    client = Client(stage.simulator_url)
    try:
        enrolled = enrol_all(stage, client)
        _print_things_to_try(console, stage, next(iter(enrolled)))
        started = time.monotonic()
        later = [
            (group, role) for group, role in enrolled.items() if role.metadata.get("kind") == "added to later"
        ]

        with view_of(console, stage) as refresh:

            def keep_waiting() -> bool:
                if later and time.monotonic() - started >= ADD_LATER_SECONDS:
                    client.add_runs(*later.pop())
                refresh()
                return not until()

            ended = wait_while(children, keep_waiting)
    finally:
        client.close()
    return ended.name if ended else None


def _print_addresses(console: Console, stage: Stage) -> None:
    console.print(f"dashboard           {stage.api_url}/")
    console.print(f"simulated upstream  {stage.simulator_url}")
    console.print(f"API                 {stage.api_url}")
    console.print(f"database            {stage.database}", soft_wrap=True)


def _print_things_to_try(console: Console, stage: Stage, taskgroup_id: str) -> None:
    groups = f"{stage.api_url}/api/v1/groups"
    console.print("try in another terminal:")
    console.print(f"  curl '{groups}?limit=3'", soft_wrap=True)
    console.print(f"  curl {groups}/{taskgroup_id}/history", soft_wrap=True)
    console.print(f"  curl {groups}/{taskgroup_id}/completion", soft_wrap=True)
