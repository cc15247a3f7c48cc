"""How long the episodes of a selection lasted: what statistics are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Null,
    case,
    func,
    null,
    select,
)

from recorder.completion.labels import is_digest
from recorder.completion.statistics import Durations
from recorder.store.derived import groups_with, key_mark, marks_meant
from recorder.store.dialects import seconds_between
from recorder.store.tables import episodes, group_labels, labelled_durations, summaries, watches

MOST_COHORTS = 1000
MOST_RECENT = 2000


class TooManyCohortsError(Exception):
    """The label to group by has more values than an answer may have items."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"has more than {most:,} values; group by another key, or select with metadata.KEY=VALUE"
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """Which episodes, and from when their durations count.

    `since_created`: only first ones, from the creation of their groups, where that is known and no later than
    they were. `prospective`:
    only those whose start was observed. `from_` and `until`: only those with `started.at` in
    [`from_`, `until`). `labels`: only those of groups with each of these (key, text of the value) in their
    metadata. `group_by`: the key of the label whose values part them into cohorts.
    """

    since_created: bool = False
    prospective: bool = False
    from_: datetime | None = None
    until: datetime | None = None
    labels: tuple[tuple[str, str], ...] = ()
    group_by: str | None = None


@dataclass(frozen=True, slots=True)
class Cohort:
    """Episodes with one value of the label to group by, as JSON text; None if they have none."""

    value: str | None
    durations: Durations


@dataclass(frozen=True, slots=True)
class Selected:
    """The cohorts of a selection; `as_of` is the newest response that any of it rests on."""

    cohorts: list[Cohort]
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class _Source:
    """Where durations are read: their three columns, the label's value, and the response they rest on."""

    table: FromClause
    spans: Sequence[ColumnElement[Any]]
    value: ColumnElement[Any]
    response: ColumnElement[Any]
    conditions: Sequence[ColumnElement[bool]]
    censored: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    """What was read from a source: durations, and the mark of each one's label."""

    durations: Durations
    values: Sequence[str | None]


def durations_of(
    connection: Connection, selection: Selection, *, most_cohorts: int | None = MOST_COHORTS
) -> Selected:
    """Return how long the episodes of a selection lasted, or have lasted so far.

    Cohorts are in the order of the JSON texts of their values, that without a value last. Without
    `group_by` there is exactly one.

    Raises:
        TooManyCohortsError: `group_by` has more than `most_cohorts` values.
    """
    over, at_work = _over(selection), _open(selection)
    count, newest = _extent(connection, over)
    responses = [newest, _extent(connection, at_work)[1]]
    as_of = max((response for response in responses if response is not None), default=None)
    parts = [*_completed(connection, selection, over, count), _read(connection, at_work)]
    durations = Durations.joined([part.durations for part in parts])
    if selection.group_by is None:
        return Selected([Cohort(None, durations)], as_of)
    values = [value for part in parts for value in part.values]
    cohorts = _parted(durations, values, most_cohorts)
    return Selected(_spelt_out(connection, selection.group_by, cohorts), as_of)


def recent_durations(connection: Connection, group_by: str | None) -> dict[str | None, Durations]:
    """Return how long the last MOST_RECENT episodes to start have lasted, by the values of a label.

    Open ones are among them: leaving them out would make all seem shorter. Without `group_by` all are one
    cohort, of the value None.
    """
    starts = select(episodes.c.started_at).order_by(episodes.c.started_at.desc())
    since = connection.scalar(starts.offset(MOST_RECENT - 1).limit(1))
    selection = Selection(from_=since, group_by=group_by)
    found = durations_of(connection, selection, most_cohorts=None)
    return {cohort.value: cohort.durations for cohort in found.cohorts}


def _over(selection: Selection) -> _Source:
    """Completed episodes, where they are read fastest unless they are to be parted by a label."""
    if selection.since_created:
        return _since_created(selection)
    if selection.labels and selection.group_by is None:
        (key, text), *others = selection.labels
        table = labelled_durations
        labelled_so = [table.c.key == key_mark(key), table.c.value.in_(marks_meant(text))]
        return _durations(table, null(), [*labelled_so, *_conditions(table, selection, others)])
    return _durations(episodes, null(), [_is_over, *_conditions(episodes, selection)])


def _completed(connection: Connection, selection: Selection, over: _Source, count: int) -> Iterator[_Part]:
    """Read the completed episodes, `count` of them; by a label from the table that has them in its order."""
    if selection.since_created or selection.group_by is None:
        yield _read(connection, over)
        return
    table, key = labelled_durations, selection.group_by
    conditions = [table.c.key == key_mark(key), *_conditions(table, selection)]
    labelled = _read(connection, _durations(table, table.c.value, conditions))
    yield labelled
    if count > len(labelled.values):
        without = episodes.c.taskgroup_id.not_in(groups_with(key))
        yield _read(connection, replace(over, conditions=[*over.conditions, without]))


def _durations(table: Any, value: ColumnElement[Any], conditions: Sequence[ColumnElement[bool]]) -> _Source:
    spans = [table.c[f"duration_{name}seconds"] for name in ("", "earliest_", "latest_")]
    return _Source(table, spans, value, table.c.completed_latest, conditions)


def _since_created(selection: Selection) -> _Source:
    """Completed first episodes from the creation of their groups."""
    ends = (episodes.c.completed_at, episodes.c.completed_earliest, episodes.c.completed_latest)
    spans = [seconds_between(summaries.c.created_at, end) for end in ends]
    table, value = _with_label(_WITH_CREATION, selection.group_by)
    believed = summaries.c.created_at <= episodes.c.completed_latest
    conditions = [_is_over, believed, *_conditions(episodes, selection)]
    return _Source(table, spans, value, episodes.c.completed_latest, conditions)


def _open(selection: Selection) -> _Source:
    """Open episodes, which have lasted until they were last seen clearly."""
    starts = [episodes.c.started_at, episodes.c.started_latest]
    conditions = [episodes.c.completed_at.is_(None), *_conditions(episodes, selection)]
    source = _WITH_WATCHES
    if selection.since_created:
        starts = [summaries.c.created_at] * 2
        source = _WITH_CREATION.join(watches, watches.c.taskgroup_id == episodes.c.taskgroup_id)
        conditions.append(summaries.c.created_at <= _SEEN_AT)
    spans: list[ColumnElement[Any]] = [seconds_between(start, _SEEN_AT) for start in starts]
    table, value = _with_label(source, selection.group_by)
    return _Source(table, [*spans, null()], value, _SEEN_AT, conditions, censored=True)


def _with_label(table: FromClause, key: str | None) -> tuple[FromClause, ColumnElement[Any]]:
    if key is None:
        return table, null()
    same = group_labels.c.taskgroup_id == episodes.c.taskgroup_id
    return table.outerjoin(group_labels, same & (group_labels.c.key == key_mark(key))), group_labels.c.value


def _conditions(
    table: Any, selection: Selection, labels: Sequence[tuple[str, str]] | None = None
) -> list[ColumnElement[bool]]:
    """What is asked of the episodes in `table`; `labels` are those that are not seen to otherwise."""
    found: list[ColumnElement[bool]] = [
        table.c.taskgroup_id.in_(groups_with(key, text))
        for key, text in (selection.labels if labels is None else labels)
    ]
    if selection.since_created:
        found += [table.c.number == 1, summaries.c.created_at.is_not(None)]
    if selection.prospective:
        found.append(table.c.first_sight.is_(False))
    if selection.from_ is not None:
        found.append(table.c.started_at >= selection.from_)
    if selection.until is not None:
        found.append(table.c.started_at < selection.until)
    return found


def _read(connection: Connection, source: _Source) -> _Part:
    labelled = not isinstance(source.value, Null)
    columns = (*source.spans, source.value) if labelled else source.spans
    found = connection.execute(select(*columns).select_from(source.table).where(*source.conditions))
    # The driver's own rows: making SQLAlchemy's of them takes as long as all the rest.
    rows = found.cursor.fetchall() if found.cursor is not None else []
    seconds, earliest, latest, *values = ([row[place] for row in rows] for place in range(len(columns)))
    durations = Durations.of_columns(seconds, earliest, latest, censored=source.censored)
    return _Part(durations, values[0] if values else (None,) * len(rows))


def _extent(connection: Connection, source: _Source) -> tuple[int, datetime | None]:
    """Return how many episodes a source has, and the newest response that they rest on."""
    newest = func.max(source.response, type_=source.response.type).label("newest")
    asked = select(func.count().label("episodes"), newest).select_from(source.table)
    found = connection.execute(asked.where(*source.conditions)).one()
    return found.episodes, found.newest


def _parted(durations: Durations, values: Sequence[str | None], most: int | None) -> list[Cohort]:
    numbers: dict[str | None, int] = {}
    which = np.array([numbers.setdefault(value, len(numbers)) for value in values], dtype=np.int64)
    if most is not None and len(numbers) - (None in numbers) > most:
        raise TooManyCohortsError(most)
    order = np.argsort(which, kind="stable")
    ends = np.cumsum(np.bincount(which, minlength=len(numbers)))
    parts = np.split(order, ends[:-1]) if numbers else []
    return [Cohort(value, durations.select(part)) for value, part in zip(numbers, parts, strict=True)]


def _spelt_out(connection: Connection, key: str, cohorts: list[Cohort]) -> list[Cohort]:
    """Put long values in the place of their marks, and the cohorts in order."""
    texts: dict[str | None, str] = {}
    digests = [cohort.value for cohort in cohorts if cohort.value is not None and is_digest(cohort.value)]
    if digests:
        long = select(group_labels.c.value, group_labels.c.long_value).distinct()
        long = long.where(group_labels.c.key == key_mark(key), group_labels.c.value.in_(digests))
        texts = {row.value: row.long_value for row in connection.execute(long)}
    spelt = [Cohort(texts.get(cohort.value, cohort.value), cohort.durations) for cohort in cohorts]
    return sorted(spelt, key=lambda cohort: (cohort.value is None, cohort.value or ""))


_is_over = episodes.c.completed_at.is_not(None)
_WITH_WATCHES = episodes.join(watches, watches.c.taskgroup_id == episodes.c.taskgroup_id)
_WITH_CREATION = episodes.join(summaries, summaries.c.taskgroup_id == episodes.c.taskgroup_id)
_SEEN_AT = case((watches.c.head_seq == episodes.c.seen_seq, watches.c.last_seen_at), else_=episodes.c.seen_at)
"""When an open episode was last seen clearly."""
