"""What the commands share that change many groups: their database, and telling what became of each group."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import click
from sqlalchemy import Engine

from recorder.cli.common import archived_text, broken_text, exit_with, writable_database
from recorder.cli.output.files import progress
from recorder.clock import Clock
from recorder.ledger.entries import Action
from recorder.settings import Settings
from recorder.settings_loading import ENROLLING, load_settings
from recorder.store.database_clock import measured_clock
from recorder.store.tombstones import ArchivedGroupError
from recorder.store.watch_changes import (
    BrokenLedgerError,
    NotWatchedError,
    RefusedChangeError,
    UnknownGroupError,
    WatchOutcome,
    WatchOutcomes,
)

LISTED = 100
"""The maximum number of groups that are listed on a terminal; more are counted."""


@dataclass(frozen=True, slots=True)
class OpenedDatabase:
    """A database that is open for writing, its clock, and the settings."""

    engine: Engine
    now: Clock
    settings: Settings


Change = Callable[[OpenedDatabase, Sequence[str], str | None], Iterator[WatchOutcomes]]
"""Changes groups. It takes the database, the ids and the note, and yields the outcomes of each batch once it
is committed."""


@dataclass(frozen=True, slots=True)
class Wording:
    """How to tell what became of a group: `changed` by the action that was written, `unchanged` if there was
    nothing to change, and `not_watched` if its watch, in the state that follows `is`, was in the way."""

    changed: Mapping[Action, str]
    unchanged: str
    not_watched: str = " since a moment ago; try again"


@contextmanager
def database_to_change() -> Iterator[OpenedDatabase]:
    """Open the database of the settings, which must be there, for a command that changes groups.

    Raises:
        SettingsError: a setting is invalid.
        SchemaError: the schema is not at head.
        DatabaseUnavailableError: the database cannot be used.
    """
    settings = load_settings(ENROLLING)
    with writable_database(settings) as engine:
        yield OpenedDatabase(engine, measured_clock(engine), settings)


def change_groups(
    ids: Sequence[str], complaints: list[str], change: Change, wording: Wording, note: str | None
) -> None:
    """Apply `change` to groups, tell what becomes of each, and end the command; `complaints` come besides."""
    if ids:
        with database_to_change() as database:
            complaints = complaints + tell(change(database, ids, note), len(ids), wording, note)
    exit_with(complaints)


def tell(batches: Iterator[WatchOutcomes], total: int, wording: Wording, note: str | None) -> list[str]:
    """Print what becomes of `total` groups as they are changed; return a complaint about each that failed."""
    complaints: list[str] = []
    counts: Counter[str] = Counter()
    many = total > LISTED
    listed = not (many and sys.stdout.isatty())
    with progress("changing groups", total) if many else nullcontext() as advance:
        for outcomes in batches:
            for taskgroup_id, outcome in outcomes.items():
                if complaint := _complaint(taskgroup_id, outcome, wording, note):
                    complaints.append(complaint)
                    continue
                words = wording.changed[outcome] if isinstance(outcome, Action) else wording.unchanged
                counts[words] += 1
                if listed:
                    click.echo(f"{taskgroup_id}: {words}")
            if advance is not None:
                advance(counts.total() + len(complaints))
    if many:
        for words, count in counts.items():
            click.echo(f"{count:,} group{'' if count == 1 else 's'}: {words}", err=True)
    return complaints


def _complaint(taskgroup_id: str, outcome: WatchOutcome, wording: Wording, note: str | None) -> str | None:
    if isinstance(outcome, BrokenLedgerError):
        return broken_text(taskgroup_id, outcome)
    if isinstance(outcome, ArchivedGroupError):
        return archived_text(taskgroup_id)
    if isinstance(outcome, UnknownGroupError):
        return f"{taskgroup_id}: was never watched"
    if isinstance(outcome, RefusedChangeError):
        is_state = isinstance(outcome, NotWatchedError)
        return f"{taskgroup_id}: {f'is {outcome}{wording.not_watched}' if is_state else outcome}"
    if outcome is None and note is not None:
        return (
            f"{taskgroup_id}: {wording.unchanged}, so there is no entry to keep the note with; "
            f"write one with: recorder note {shlex.quote(taskgroup_id)} TEXT"
        )
    return None
