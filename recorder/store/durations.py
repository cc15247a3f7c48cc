"""Read the durations of a selection of episodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, FromClause, Null, Select, Table, case, func, null, select

from recorder.completion.labels import is_digest, mark_of
from recorder.completion.statistics import Durations
from recorder.store.derived import groups_with, key_mark, marks_meant
from recorder.store.dialects.functions import seconds_between
from recorder.store.tables import episodes, group_labels, labelled_durations, summaries, watches
from recorder.store.underived import require_derived

MOST_COHORTS = 1000
MOST_RECENT = 1000
"""How many completed episodes of a cohort an estimate is based on."""
_MANY_GROUPS = 50_000


class TooManyCohortsError(Exception):
    """The label to group by has more values than a response may have items."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"has more than {most:,} values; group by another key, or select with metadata.KEY=VALUE"
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """Which episodes to read, and where their durations start.

    `since_created`: first episodes only, measured from the creation of their groups; groups whose creation
    is unknown, or later than the episode, are left out. `prospective`: only episodes whose start was
    observed. `from_` and `until`: only episodes with `started.at` in [`from_`, `until`). `labels`: only
    groups that have every one of these (key, text of the value) in their metadata. `group_by`: the key of
    the label whose values divide the episodes into cohorts.
    """

    since_created: bool = False
    prospective: bool = False
    from_: datetime | None = None
    until: datetime | None = None
    labels: tuple[tuple[str, str], ...] = ()
    group_by: str | None = None


@dataclass(frozen=True, slots=True)
class Cohort:
    """The episodes with one value of the label to group by, as JSON text; None for those without one."""

    value: str | None
    durations: Durations


@dataclass(frozen=True, slots=True)
class Selected:
    """The cohorts of a selection; `as_of` is the newest response that any of them depends on."""

    cohorts: list[Cohort]
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class _Source:
    """Where to read durations: `spans` are the expected, earliest and latest duration, `value` is the value
    of the label to group by, and `response` is the time of the response that each duration depends on."""

    table: FromClause
    spans: Sequence[ColumnElement[Any]]
    value: ColumnElement[Any]
    response: ColumnElement[Any]
    conditions: Sequence[ColumnElement[bool]]
    censored: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    """What was read from a source: the durations, and the mark of each one's label."""

    durations: Durations
    values: Sequence[str | None]


def durations_of(
    connection: Connection, selection: Selection, *, most_cohorts: int = MOST_COHORTS
) -> Selected:
    """Return how long the episodes of a selection lasted, or have lasted so far.

    Cohorts are ordered by the JSON texts of their values, with the cohort without a value last. Without
    `group_by` there is exactly one cohort.

    Raises:
        TooManyCohortsError: `group_by` has more than `most_cohorts` values.
        UnderivedError: episodes are being derived anew.
    """
    require_derived(connection)
    over, at_work = _over(selection), _open(selection)
    count, newest = _extent(connection, over)
    responses = [newest, _extent(connection, at_work)[1]]
    as_of = max((response for response in responses if response is not None), default=None)
    parts = [*_completed(connection, selection, over, count), _read(connection, at_work)]
    durations = Durations.joined([part.durations for part in parts])
    if selection.group_by is None:
        return Selected([Cohort(None, durations)], as_of)
    values = [value for part in parts for value in part.values]
    cohorts = _split(durations, values, most_cohorts)
    return Selected(_with_full_values(connection, selection.group_by, cohorts), as_of)


def recent_durations(
    connection: Connection, label: tuple[str, str] | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return how long the newest episodes of a cohort lasted, in seconds, and which of them are completed.

    They are MOST_RECENT completed ones, and the open ones that started no earlier than these: leaving those
    out would make all of them look shorter. `label` is the (key, value) that the groups of the cohort share,
    as JSON texts; None takes all groups.

    Raises:
        UnderivedError: episodes are being derived anew.
    """
    require_derived(connection)
    table, completed = episodes, [_is_over]
    at_work: list[ColumnElement[bool]] = [episodes.c.completed_at.is_(None)]
    if label is not None:
        same = group_labels.c.taskgroup_id == episodes.c.taskgroup_id
        has_label = select(group_labels).where(same, *_labelled(group_labels, label)).exists()
        completed.append(has_label)
        at_work.append(has_label)
        if _is_small(connection, label):
            table, completed = labelled_durations, _labelled(labelled_durations, label)
    starts = select(table.c.started_at).where(*completed).order_by(table.c.started_at.desc())
    oldest = connection.scalar(starts.offset(MOST_RECENT - 1).limit(1))
    if oldest is not None:
        completed.append(table.c.started_at >= oldest)
        at_work.append(episodes.c.started_at >= oldest)
    lasted = select(table.c.duration_seconds).where(*completed)
    so_far = select(seconds_between(episodes.c.started_at, SEEN_AT)).select_from(WITH_WATCHES).where(*at_work)
    over, still_open = ([row[0] for row in _rows(connection, query)] for query in (lasted, so_far))
    seconds = np.array([*over, *still_open], dtype=np.float64)
    return seconds, np.arange(len(seconds)) < len(over)


def _labelled(table: Table, label: tuple[str, str]) -> list[ColumnElement[bool]]:
    key, value = map(mark_of, label)
    return [table.c.key == key, table.c.value == value]


def _is_small(connection: Connection, label: tuple[str, str]) -> bool:
    """Whether reading all groups with a label is faster than searching the newest episodes for them."""
    groups = select(group_labels.c.taskgroup_id).where(*_labelled(group_labels, label)).limit(_MANY_GROUPS)
    return (connection.scalar(select(func.count()).select_from(groups.subquery())) or 0) < _MANY_GROUPS


def _over(selection: Selection) -> _Source:
    """Return the source that reads the completed episodes fastest when they are not grouped."""
    if selection.since_created:
        return _since_created(selection)
    if selection.labels and selection.group_by is None:
        (key, text), *others = selection.labels
        table = labelled_durations
        has_label = [table.c.key == key_mark(key), table.c.value.in_(marks_meant(text))]
        return _durations(table, null(), [*has_label, *conditions_of(table, selection, others)])
    return _durations(episodes, null(), [_is_over, *conditions_of(episodes, selection)])


def _completed(connection: Connection, selection: Selection, over: _Source, count: int) -> Iterator[_Part]:
    """Read the `count` completed episodes; grouped ones come from the table that is ordered by label."""
    if selection.since_created or selection.group_by is None:
        yield _read(connection, over)
        return
    table, key = labelled_durations, selection.group_by
    conditions = [table.c.key == key_mark(key), *conditions_of(table, selection)]
    labelled = _read(connection, _durations(table, table.c.value, conditions))
    yield labelled
    if count > len(labelled.values):
        without = episodes.c.taskgroup_id.not_in(groups_with(key))
        yield _read(connection, replace(over, conditions=[*over.conditions, without]))


def _durations(table: Any, value: ColumnElement[Any], conditions: Sequence[ColumnElement[bool]]) -> _Source:
    spans = [table.c[f"duration_{name}seconds"] for name in ("", "earliest_", "latest_")]
    return _Source(table, spans, value, table.c.completed_latest, conditions)


def _since_created(selection: Selection) -> _Source:
    """Return the source of completed first episodes, measured from the creation of their groups."""
    ends = (episodes.c.completed_at, episodes.c.completed_earliest, episodes.c.completed_latest)
    spans = [seconds_between(summaries.c.created_at, end) for end in ends]
    table, value = with_label(_WITH_CREATION, selection.group_by)
    plausible = summaries.c.created_at <= episodes.c.completed_latest
    conditions = [_is_over, plausible, *conditions_of(episodes, selection)]
    return _Source(table, spans, value, episodes.c.completed_latest, conditions)


def _open(selection: Selection) -> _Source:
    """Return the source of open episodes, measured to their last clear observation."""
    starts = [episodes.c.started_at, episodes.c.started_latest, episodes.c.started_earliest]
    conditions = [episodes.c.completed_at.is_(None), *conditions_of(episodes, selection)]
    source = WITH_WATCHES
    if selection.since_created:
        starts = [summaries.c.created_at] * 3
        source = _WITH_CREATION.outerjoin(watches, watches.c.taskgroup_id == episodes.c.taskgroup_id)
        conditions.append(summaries.c.created_at <= SEEN_AT)
    spans: list[ColumnElement[Any]] = [seconds_between(start, SEEN_AT) for start in starts]
    table, value = with_label(source, selection.group_by)
    return _Source(table, spans, value, SEEN_AT, conditions, censored=True)


def with_label(table: FromClause, key: str | None) -> tuple[FromClause, ColumnElement[Any]]:
    """Return episodes joined with the label `key` of their groups, and its value."""
    if key is None:
        return table, null()
    same = group_labels.c.taskgroup_id == episodes.c.taskgroup_id
    return table.outerjoin(group_labels, same & (group_labels.c.key == key_mark(key))), group_labels.c.value


def conditions_of(
    table: Any, selection: Selection, labels: Sequence[tuple[str, str]] | None = None
) -> list[ColumnElement[bool]]:
    """Return the conditions of a selection on `table`; `labels` replaces the labels of the selection."""
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
    rows = _rows(connection, select(*columns).select_from(source.table).where(*source.conditions))
    seconds, earliest, latest, *values = ([row[place] for row in rows] for place in range(len(columns)))
    durations = Durations.of_columns(seconds, earliest, latest, censored=source.censored)
    return _Part(durations, values[0] if values else (None,) * len(rows))


def _rows(connection: Connection, query: Select[Any]) -> Sequence[Any]:
    """Return the driver's own rows: wrapping them in SQLAlchemy's takes as long as everything else here."""
    found = connection.execute(query)
    return found.cursor.fetchall() if found.cursor is not None else []


def _extent(connection: Connection, source: _Source) -> tuple[int, datetime | None]:
    """Return how many episodes a source has, and the newest response that they depend on."""
    newest = func.max(source.response, type_=source.response.type).label("newest")
    statement = select(func.count().label("episodes"), newest).select_from(source.table)
    found = connection.execute(statement.where(*source.conditions)).one()
    return found.episodes, found.newest


def _split(durations: Durations, values: Sequence[str | None], most: int) -> list[Cohort]:
    numbers: dict[str | None, int] = {}
    which = np.array([numbers.setdefault(value, len(numbers)) for value in values], dtype=np.int64)
    if len(numbers) - (None in numbers) > most:
        raise TooManyCohortsError(most)
    order = np.argsort(which, kind="stable")
    ends = np.cumsum(np.bincount(which, minlength=len(numbers)))
    parts = np.split(order, ends[:-1]) if numbers else []
    return [Cohort(value, durations.select(part)) for value, part in zip(numbers, parts, strict=True)]


def _with_full_values(connection: Connection, key: str, cohorts: list[Cohort]) -> list[Cohort]:
    """Replace the marks of long values by the values, and sort the cohorts."""
    texts: dict[str | None, str] = {}
    digests = [cohort.value for cohort in cohorts if cohort.value is not None and is_digest(cohort.value)]
    if digests:
        long = select(group_labels.c.value, group_labels.c.long_value).distinct()
        long = long.where(group_labels.c.key == key_mark(key), group_labels.c.value.in_(digests))
        texts = {row.value: row.long_value for row in connection.execute(long)}
    named = [Cohort(texts.get(cohort.value, cohort.value), cohort.durations) for cohort in cohorts]
    return sorted(named, key=lambda cohort: (cohort.value is None, cohort.value or ""))


_is_over: ColumnElement[bool] = episodes.c.completed_at.is_not(None)
WITH_WATCHES = episodes.outerjoin(watches, watches.c.taskgroup_id == episodes.c.taskgroup_id)
_WITH_CREATION = episodes.join(summaries, summaries.c.taskgroup_id == episodes.c.taskgroup_id)
SEEN_AT = case((watches.c.head_seq == episodes.c.seen_seq, watches.c.last_seen_at), else_=episodes.c.seen_at)
"""The last clear observation of an open episode; an archived group has no watch row."""
