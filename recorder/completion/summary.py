"""The summary of a group's ledger, stored beside it so that readers need not read the whole ledger.

This is a fold over the ledger in the order of `seq`. Applying entries as they are written gives the same
summary as starting again from the first one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from recorder.completion import dwell, episodes
from recorder.completion.dwell import Dwell
from recorder.completion.episodes import Episode
from recorder.completion.eta import WorkSoFar
from recorder.completion.labels import labels_of
from recorder.completion.progress import ProgressMark, ProgressMarks
from recorder.completion.time_bounds import Basis
from recorder.ledger.anomalies import Anomaly
from recorder.ledger.entries import Entry, Interval, StatusContent
from recorder.ledger.status_fields import Phase, StatusFields
from recorder.ledger.timestamps import is_plausible
from recorder.ledger.value_class import value_class

SUMMARY_RULES = 5
"""The version of these rules: a summary made by another version is rebuilt."""


@value_class
class Standstill:
    """An active group whose counts have been the same since its entry `seq`, received at `since`."""

    seq: int
    since: datetime
    counts: tuple[int | None, ...]


@value_class
class Summary:
    """A ledger up to its entry `seq`.

    `labels` are those of the newest status, `created_at` is the newest one that a status had and that can be
    true. `pace` is that of the open episode. `standstill` is None unless the group is active. `anomalies` are
    all that its responses had, in the order in which they first occurred.
    """

    seq: int
    work: episodes.State
    dwell: Dwell
    created_at: datetime | None
    labels: tuple[tuple[str, str], ...]
    pace: ProgressMarks
    standstill: Standstill | None
    anomalies: tuple[Anomaly, ...]


@value_class
class Standing:
    """An open episode up to the last entry: its progress, whether that entry was an observation that was not
    clear, and the labels of its group."""

    work: WorkSoFar
    unclear: bool
    labels: tuple[tuple[str, str], ...]


NOTHING = Summary(0, episodes.State(), Dwell(), None, (), ProgressMarks(), None, ())
"""The summary of a ledger without entries."""


def advance_summary(summary: Summary, entry: Entry) -> tuple[Summary, Episode | None]:
    """Return the summary after `entry`, the next one, and the episode that it ended, if any."""
    content, created_at, labels, pace = entry.content, summary.created_at, summary.labels, summary.pace
    standstill, anomalies = summary.standstill, summary.anomalies
    work, ended = episodes.advance_episodes(summary.work, entry)
    if isinstance(content, StatusContent):
        created_at = _usable_created_at(content, entry.at) or created_at
        labels = labels_of(content.body)
        pace = _pace(pace, summary.work, work, content.fields, entry.at)
        if work.sight is not None and work.sight.seq == entry.seq:
            standstill = _standstill(standstill, content.fields, entry)
        anomalies += tuple(anomaly for anomaly in content.anomalies if anomaly not in anomalies)
    held = dwell.advance_dwell(summary.dwell, entry)
    return Summary(entry.seq, work, held, created_at, labels, pace, standstill, anomalies), ended


def summarize(summary: Summary, entries: Iterable[Entry]) -> tuple[Summary, list[Episode]]:
    """Return the summary after `entries`, the next ones in order, and the episodes that they ended."""
    completed = []
    for entry in entries:
        summary, ended = advance_summary(summary, entry)
        if ended is not None:
            completed.append(ended)
    return summary, completed


def standing_in(summary: Mapping[str, Any]) -> Standing | None:
    """Return how an open episode stands, from the members of the summary as JSON; None if there is none.

    Reading the whole summary would take twice as long, and a list of groups reads many.
    """
    state, pace = summary["work"], summary["pace"]
    opened, sight = state["opened"], state["sight"]
    if opened is None or sight is None:
        return None
    read = datetime.fromisoformat
    marks = tuple([ProgressMark(read(mark["at"]), mark["finished"]) for mark in pace["marks"]])
    work = WorkSoFar(
        read(opened["started"]["at"]),
        read(sight["last_seen_at"]),
        ProgressMarks(marks, pace["finished"], pace["total"]),
        sight["phase"] == Phase.BLOCKED,
    )
    return Standing(work, state["unclear"], tuple([(key, value) for key, value in summary["labels"]]))


def work_so_far(standing: Standing, open_interval: Interval | None) -> WorkSoFar:
    """Return the progress of an open episode; `open_interval` is that of `episodes_of`."""
    if open_interval is None or standing.unclear:
        return standing.work
    return replace(standing.work, seen_at=open_interval.last_seen_at)


def _usable_created_at(status: StatusContent, observed_at: datetime) -> datetime | None:
    created_at = status.fields.created_at
    if created_at is None or not is_plausible(created_at) or created_at > observed_at:
        return None
    return None if Anomaly.ID_MISMATCH in status.anomalies else created_at


def _standstill(before: Standstill | None, fields: StatusFields, entry: Entry) -> Standstill | None:
    """Return the standstill after a clear observation."""
    if fields.phase is not Phase.ACTIVE:
        return None
    counts = (fields.num_task_runs, *fields.counts)
    return (
        before if before is not None and before.counts == counts else Standstill(entry.seq, entry.at, counts)
    )


def _pace(
    pace: ProgressMarks,
    before: episodes.State,
    work: episodes.State,
    fields: StatusFields,
    observed_at: datetime,
) -> ProgressMarks:
    """Return the pace after an observation; it is measured from the episode's start if that is known."""
    if work.opened is None:
        return ProgressMarks()
    if before.opened is None:
        started, known = work.opened.started, work.opened.started.basis is not Basis.FIRST_SIGHT
        finished_before = 0 if before.sight is None else before.sight.runs.finished
        pace = ProgressMarks().seen(started.at, finished_before, None) if known else ProgressMarks()
    if work.unclear or work.sight is None:
        return pace
    is_reported = fields.counts.count(None) < len(fields.counts)
    finished = work.sight.runs.finished if is_reported else None
    return pace.seen(observed_at, finished, fields.num_task_runs)
