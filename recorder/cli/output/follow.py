"""Print new entries of a group's ledger as they are written."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import click
from rich.text import Text

from recorder.cli.common import opened_database
from recorder.cli.output.awaited import outcome_words
from recorder.cli.output.console import console, plain
from recorder.cli.output.format import cause_text, lasted_text, phase_text, runs_text, show_time
from recorder.clock import utc_now
from recorder.completion.outcome import GroupOutcome
from recorder.ledger.entries import Kind
from recorder.processes import stop_requests
from recorder.queries.descriptions import Descriptions
from recorder.queries.groups import progress_body
from recorder.queries.history import entry_body
from recorder.queries.json_output import ndjson_line
from recorder.queries.waiting import AwaitedGroups
from recorder.settings_loading import load_settings
from recorder.store.data_time import data_time
from recorder.store.history import HistoryFilter, read_history
from recorder.store.transactions import reading

_DONE = {GroupOutcome.COMPLETED, GroupOutcome.UNSUCCESSFUL, GroupOutcome.SHORT}
_CHECK_SECONDS = 0.5
_PAGE_SIZE = 100


def follow_entries(taskgroup_id: str, seen: int, *, as_json: bool) -> None:
    """Print each entry after number `seen` on a line, until the group is done; then say how it ended.

    Ctrl-C and SIGTERM end it too; then it says why the group is not done.
    """
    settings = load_settings(needed=())
    window = settings.rules.gap_window.total_seconds()
    group = AwaitedGroups([taskgroup_id], settings.cohort_key, window)
    outcome = GroupOutcome.UNDER_WAY
    with stop_requests() as asked, opened_database(settings.read_url, read_only=True) as engine:
        while outcome not in _DONE and not asked():
            with reading(engine) as connection:
                group.read(connection, data_time(connection).at)
                items = read_history(connection, taskgroup_id, HistoryFilter(after_seq=seen), _PAGE_SIZE)
                descriptions = Descriptions()
                descriptions.read(connection, taskgroup_id, items)
            for item in items:
                seen = item.seq
                _print_line(entry_body(item), descriptions, as_json=as_json)
            if len(items) < _PAGE_SIZE:
                outcome = group.outcomes[taskgroup_id]
            if not items and outcome not in _DONE:
                time.sleep(_CHECK_SECONDS)
    if group.bodies:
        words = plain(outcome_words(group.bodies[taskgroup_id], outcome)).plain
        click.echo(f"{'done' if outcome in _DONE else 'not done'}: {words}", err=True)


def _print_line(body: dict[str, Any], descriptions: Descriptions, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(ndjson_line(body))
        sys.stdout.buffer.flush()
    else:
        console().print(Text("  ").join(_texts(body, descriptions)), soft_wrap=True)


def _texts(body: dict[str, Any], descriptions: Descriptions) -> Iterator[Text]:
    yield Text(show_time(body["at"]))
    if body["kind"] == Kind.GAP:
        yield Text("gap", style="red")
        yield cause_text(body["gap"])
        yield Text(lasted_text(body["gap"], utc_now()))
        return
    if body["kind"] == Kind.STATUS:
        yield phase_text(body["phase"])
        yield Text(runs_text(progress_body(body["status"])))
    else:
        yield Text("watch")
    yield plain(descriptions.of(body["seq"]))
