"""What `recorder wait` shows: a progress bar on a terminal, and a line whenever something changes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from recorder.cli.output.console import plain
from recorder.cli.output.format import counts_text, runs_text, show_time, until_text
from recorder.completion.outcome import UNDECIDED, GroupOutcome
from recorder.ledger.timestamps import format_time
from recorder.ledger.watch import WatchState
from recorder.queries.waiting import AwaitedGroups

_WORDS = {
    GroupOutcome.COMPLETED: "settled, all runs completed",
    GroupOutcome.UNSUCCESSFUL: "settled",
    GroupOutcome.BLOCKED: "blocked, some runs require action",
    GroupOutcome.INCOMPLETE: "settled for now, but more runs are expected",
    GroupOutcome.SHORT: "settled, short of the runs that were expected",
}


class AwaitedView:
    """Tells what is new about groups each time it is shown them; `bar` is the progress bar, if any.

    If it is `quiet`, it says nothing.
    """

    def __init__(self, bar: Progress | None, *, quiet: bool = False) -> None:
        self._bar = bar
        self._quiet = quiet
        self._task = TaskID(0) if bar is None else bar.add_task("", total=None, eta="")
        self._told: dict[str, str] = {}
        self._away = False

    def show(self, groups: AwaitedGroups, now: datetime) -> None:
        """Print a line for each group about which something has changed; move the bar."""
        if self._away:
            self._away = False
            self._say("the database can be used again", now)
        for taskgroup_id in groups.ids:
            body, outcome = groups.bodies[taskgroup_id], groups.outcomes[taskgroup_id]
            words = outcome_words(body, outcome)
            if words != self._told.get(taskgroup_id) and (self._bar is None or outcome not in UNDECIDED):
                eta = "" if body is None or outcome is not GroupOutcome.UNDER_WAY else _eta_text([body])
                self._say(f"{taskgroup_id}: {words}{eta and f', {eta}'}", now)
                self._told[taskgroup_id] = words
        if self._bar is not None:
            self._move(self._bar, groups)

    def show_away(self, reason: str, now: datetime) -> None:
        """Print a line, the first time, that the database cannot be used."""
        if not self._away:
            self._away = True
            self._say(f"the database cannot be used, waiting for it: {reason}", now)

    def _say(self, line: str, now: datetime) -> None:
        text = f"{show_time(format_time(now))}  {plain(line).plain}"
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        elif not self._quiet:
            click.echo(text)
            sys.stdout.flush()

    def _move(self, bar: Progress, groups: AwaitedGroups) -> None:
        bodies = [body for body in groups.bodies.values() if body is not None]
        finished, total = (
            sum(body["progress"][name] or 0 for body in bodies) for name in ("finished", "total")
        )
        waiting = [one for one in groups.ids if groups.outcomes[one] in UNDECIDED]
        label = f"waiting for {len(waiting)} of {len(groups.ids)}"
        active = [body for one in waiting if (body := groups.bodies[one]) is not None]
        bar.update(self._task, description=label, completed=finished, total=total, eta=_eta_text(active))


@contextmanager
def awaited_view(*, quiet: bool) -> Iterator[AwaitedView]:
    """Show a progress bar until the block ends if standard output is a terminal that can draw one.

    Nothing is shown if `quiet`.
    """
    screen = Console()
    if quiet or not screen.is_terminal or screen.is_dumb_terminal:
        yield AwaitedView(None, quiet=quiet)
        return
    label, eta = TextColumn("{task.description}"), TextColumn("{task.fields[eta]}")
    with Progress(label, BarColumn(), MofNCompleteColumn(), eta, console=screen) as bar:
        yield AwaitedView(bar)


def outcome_words(body: dict[str, Any] | None, outcome: GroupOutcome) -> str:
    """Return what has become of a group, given its body as in the API, None if it is not in the database."""
    if body is None:
        return "is no longer in the database"
    if outcome is GroupOutcome.ENDED:
        return f"{body['state']} before it had settled"
    runs = runs_text(body["progress"])
    if outcome is GroupOutcome.UNDER_WAY:
        state = "" if body["state"] == WatchState.WATCHING else f"{body['state']}, "
        return f"{state}{body['phase'] or 'not seen yet'}{runs and f', {runs} runs finished'}"
    expected = (body.get("expected") or {}).get("runs")
    more = f" ({expected} expected)" if outcome in {GroupOutcome.INCOMPLETE, GroupOutcome.SHORT} else ""
    return f"{_WORDS[outcome]}{more}: {counts_text(body['status'])}"


def _eta_text(bodies: list[dict[str, Any]]) -> str:
    """Return when all of the groups will be done, "" if that is not known of each."""
    etas = [body["eta"] for body in bodies]
    if not etas or any(eta["p10"] is None for eta in etas):
        return ""
    earliest, latest = (max(eta[name] for eta in etas) for name in ("p10", "p90"))
    return f"done between {show_time(earliest)} and {until_text(latest, earliest)} (UTC)"
