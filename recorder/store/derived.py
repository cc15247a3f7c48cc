"""Summaries, episodes, milestones and labels: what is derived from the ledgers, stored in tables.

These rows are updated in the transaction that writes the entries, and can be rebuilt from the ledger alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from pydantic import TypeAdapter
from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    Select,
    delete,
    insert,
    select,
)

from recorder.completion.episodes import Episode, open_milestones
from recorder.completion.labels import label_text, mark_of, text_of, texts_meant, type_of
from recorder.completion.summary import (
    NOTHING,
    SUMMARY_RULES,
    Standing,
    Summary,
    standing_in,
    summarize,
)
from recorder.ledger.entries import Entry
from recorder.store.dialects.registry import dialect_of
from recorder.store.episode_rows import episode_row, milestone_rows, open_episode_rows
from recorder.store.history import read_entries
from recorder.store.tables import episodes, group_labels, labelled_durations, milestones, summaries
from recorder.store.underived import UnderivedError

_json = TypeAdapter(Summary)


@dataclass(frozen=True, slots=True)
class SummaryChange:
    """The effect of new entries on a group: its summaries before and after, and the episodes they ended."""

    taskgroup_id: str
    before: Summary
    after: Summary
    ended: Sequence[Episode]

    @property
    def opened(self) -> range:
        """The numbers of the episodes that the entries opened; some of them may be in `ended` too."""
        return range(episodes_begun(self.before) + 1, episodes_begun(self.after) + 1)


def apply_entries(connection: Connection, entries: Iterable[Entry]) -> list[SummaryChange]:
    """Derive what follows from `entries`, which were just written, in the order of each group's `seq`.

    The ledger of a group whose summary is missing or has other rules, as after an upgrade, is read again from
    its first entry. Returns a change for each group.
    """
    by_group: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_group[entry.taskgroup_id].append(entry)
    known = find_summaries(connection, by_group.keys())
    changes = []
    for taskgroup_id, new in by_group.items():
        before = known.get(taskgroup_id, NOTHING)
        if before.seq != new[0].seq - 1:
            before = rebuild_group(connection, taskgroup_id, until_seq=new[0].seq)
        changes.append(SummaryChange(taskgroup_id, before, *summarize(before, new)))
    _write(connection, changes)
    return changes


def summary_of(connection: Connection, taskgroup_id: str) -> Summary:
    """Return the summary of the ledger of a group that has a watch.

    Raises:
        UnderivedError: the group is still to be derived by this program's rules.
    """
    found = find_summaries(connection, [taskgroup_id]).get(taskgroup_id)
    if found is None:
        raise UnderivedError(f"{taskgroup_id}: its completion is still to be derived anew after an upgrade")
    return found


def find_summaries(connection: Connection, taskgroup_ids: Collection[str]) -> dict[str, Summary]:
    """Return the stored summaries of groups, by group id; those of other rules are left out."""
    return {one: _json.validate_json(text) for one, text in _stored(connection, taskgroup_ids)}


def find_standings(connection: Connection, taskgroup_ids: Collection[str]) -> dict[str, Standing | None]:
    """Return how the open episodes of groups stand, by group id, None for groups without one.

    Groups whose summary is missing or has other rules are left out.
    """
    return {one: standing_in(orjson.loads(text)) for one, text in _stored(connection, taskgroup_ids)}


def rebuild_group(connection: Connection, taskgroup_id: str, until_seq: int | None = None) -> Summary:
    """Rebuild the derived rows of a group from its entries, those before `until_seq` if given; return the
    summary."""
    entries = read_entries(connection, taskgroup_id)
    if until_seq is not None:
        entries = (entry for entry in entries if entry.seq < until_seq)
    change = SummaryChange(taskgroup_id, NOTHING, *summarize(NOTHING, entries))
    replace_derived(connection, [change])
    return change.after


def _stored(connection: Connection, taskgroup_ids: Collection[str]) -> Iterable[tuple[str, str]]:
    """Return the ids and summaries of groups, as they are stored by the present rules."""
    if not taskgroup_ids:
        return []
    statement = select(summaries.c.taskgroup_id, summaries.c.summary)
    present = summaries.c.taskgroup_id.in_(taskgroup_ids), summaries.c.rules == SUMMARY_RULES
    return [(row[0], row[1]) for row in connection.execute(statement.where(*present))]


def replace_derived(connection: Connection, changes: Sequence[SummaryChange]) -> None:
    """Replace all derived rows of groups by those that follow from their whole ledgers."""
    ids = [change.taskgroup_id for change in changes]
    for table in (episodes, milestones, group_labels, labelled_durations, summaries):
        connection.execute(delete(table).where(table.c.taskgroup_id.in_(ids)))
    _write(connection, changes)


def episodes_begun(summary: Summary) -> int:
    """Return how many episodes a group has had, the open one included."""
    return summary.work.episodes + (summary.work.opened is not None)


def _write(connection: Connection, changes: Sequence[SummaryChange]) -> None:
    put = partial(dialect_of(connection).write_rows, connection, replace=True)
    put(summaries, [summary_row(change.taskgroup_id, change.after) for change in changes])
    put(episodes, [row for change in changes for row in _episode_rows(change)])
    put(milestones, [row for change in changes for row in _milestone_rows(change)])
    relabelled = [change for change in changes if change.before.labels != change.after.labels]
    if relabelled:
        ids = [change.taskgroup_id for change in relabelled]
        for table in (group_labels, labelled_durations):
            connection.execute(delete(table).where(table.c.taskgroup_id.in_(ids)))
        rows = [row for change in relabelled for row in label_rows(change.taskgroup_id, change.after)]
        put(group_labels, rows)
        connection.execute(_insert_labelled(episodes.c.taskgroup_id.in_(ids)))
    ended = [
        change
        for change in changes
        if change.ended and change.after.labels and change.before.labels == change.after.labels
    ]
    for change in ended:
        since = episodes.c.number >= change.ended[0].number
        connection.execute(_insert_labelled((episodes.c.taskgroup_id == change.taskgroup_id) & since))


def _insert_labelled(condition: ColumnElement[bool]) -> Insert:
    columns = [column.name for column in labelled_durations.c]
    return insert(labelled_durations).from_select(columns, labelled(condition))


def labelled(condition: ColumnElement[bool]) -> Select[Any]:
    """Select the rows of `labelled_durations`: completed episodes, once for each label of their group."""
    columns = [column.name for column in labelled_durations.c]
    sources = [group_labels.c if name in {"key", "value"} else episodes.c for name in columns]
    found = select(*(source[name] for source, name in zip(sources, columns, strict=True)))
    same = group_labels.c.taskgroup_id == episodes.c.taskgroup_id
    joined = found.select_from(episodes.join(group_labels, same))
    return joined.where(condition, episodes.c.completed_at.is_not(None))


def summary_row(taskgroup_id: str, summary: Summary) -> dict[str, Any]:
    """Return the row of `summaries` for a group."""
    return {
        "taskgroup_id": taskgroup_id,
        "seq": summary.seq,
        "rules": SUMMARY_RULES,
        "created_at": summary.created_at,
        "standing_seq": summary.standstill and summary.standstill.seq,
        "standing_since": summary.standstill and summary.standstill.since,
        "summary": _json.dump_json(summary).decode(),
    }


def label_rows(taskgroup_id: str, summary: Summary) -> Iterator[dict[str, Any]]:
    """Yield the rows of `group_labels` for a group."""
    for key, value in summary.labels:
        mark = mark_of(value)
        yield {
            "taskgroup_id": taskgroup_id,
            "key": mark_of(key),
            "value": mark,
            "long_value": None if mark == value else value,
            "name": text_of(key),
            "text": text_of(value),
            "type": type_of(value),
        }


def _episode_rows(change: SummaryChange) -> Iterator[dict[str, Any]]:
    for episode in change.ended:
        yield episode_row(change.taskgroup_id, episode)
    yield from open_episode_rows(change.taskgroup_id, change.after.work)


def _milestone_rows(change: SummaryChange) -> Iterator[dict[str, Any]]:
    """Yield the rows of the milestones that changed."""
    before, after = change.before.work, change.after.work
    known = {before.episodes + 1: open_milestones(before)}
    found = {episode.number: episode.milestones or () for episode in change.ended}
    found[after.episodes + 1] = open_milestones(after)
    for number, reached in found.items():
        yield from milestone_rows(change.taskgroup_id, number, reached, known.get(number, ()))


def groups_with(key: str, text: str | None = None) -> Select[Any]:
    """Select the ids of the groups with a label; `text` is a string, or another scalar's JSON text."""
    found = select(group_labels.c.taskgroup_id).where(group_labels.c.key == key_mark(key))
    return found if text is None else found.where(group_labels.c.value.in_(marks_meant(text)))


def key_mark(key: str) -> str:
    """Return the mark of a label's key."""
    return mark_of(label_text(key))


def marks_meant(text: str) -> list[str]:
    """Return the marks of the values that `text` can mean."""
    return [mark_of(value) for value in texts_meant(text)]
