"""What was not seen, over all groups: gaps that overlap and have the same cause are one outage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, WithJsonSchema
from sqlalchemy import Connection

from recorder.ledger.poll_outcome import Cause
from recorder.queries.param_types import complaint
from recorder.queries.query import StretchQuery
from recorder.store.gap_rows import STILL_OPEN, GapColumns, read_all_gaps, recorded_extent

MOST_NAMED = 5
"""How many groups of an outage are named."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _causes(text: object) -> tuple[Cause, ...]:
    try:
        return tuple(dict.fromkeys(Cause(name) for name in str(text).split(",")))
    except ValueError:
        raise complaint(f"is not a list of these: {', '.join(Cause)}") from None


CausesParam = Annotated[
    tuple[Cause, ...] | None, BeforeValidator(_causes), WithJsonSchema({"type": "string"})
]


class OutagesQuery(StretchQuery):
    """Which outages to show."""

    cause: CausesParam = Field(None, description="only outages of these causes, separated by commas")


@dataclass(frozen=True, slots=True)
class SharedOutage:
    """Gaps of one cause that overlap. `to` is None while one of them is open. `first_groups` are the first of
    the `group_count` groups that were not seen, in the order in which their gaps began."""

    cause: str
    from_: datetime
    to: datetime | None
    gaps: int
    group_count: int
    first_groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outages:
    """All outages, oldest first, in what was recorded from `first` to `last`, None without groups."""

    items: list[SharedOutage]
    first: datetime | None
    last: datetime | None

    @property
    def has_open(self) -> bool:
        """Whether one of the outages goes on."""
        return any(outage.to is None for outage in self.items)


def outages_answer(connection: Connection, query: OutagesQuery, now: datetime) -> Outages:
    """Return the outages that meet the query's stretch of time, open ones as of `now`."""
    extent = recorded_extent(connection)
    if extent is None:
        return Outages([], None, None)
    gaps = read_all_gaps(connection, query.from_, query.to, now)
    return Outages(merge_gaps(gaps, query.cause or Cause), *extent)


def merge_gaps(gaps: GapColumns, causes: Iterable[str]) -> list[SharedOutage]:
    """Return the outages of the gaps with one of `causes`, oldest first."""
    of_gap = np.array(gaps.causes, dtype=object)
    found = [outage for cause in causes for outage in _of_cause(gaps, cause, np.flatnonzero(of_gap == cause))]
    return sorted(found, key=lambda outage: (outage.from_, outage.first_groups[0], outage.cause))


def _of_cause(gaps: GapColumns, cause: str, places: NDArray[np.int64]) -> Iterator[SharedOutage]:
    places = places[np.argsort(gaps.starts[places], kind="stable")]
    starts, reached = gaps.starts[places], np.maximum.accumulate(gaps.ends[places])
    apart = np.flatnonzero(starts[1:] > reached[:-1]) + 1
    for members in np.split(places, apart) if len(places) else ():
        end = int(gaps.ends[members].max())
        yield SharedOutage(
            cause=cause,
            from_=_moment(int(gaps.starts[members[0]])),
            to=None if end == STILL_OPEN else _moment(end),
            gaps=len(members),
            group_count=len({gaps.taskgroup_ids[place] for place in members.tolist()}),
            first_groups=_first_groups(gaps, members),
        )


def _first_groups(gaps: GapColumns, members: NDArray[np.int64]) -> tuple[str, ...]:
    """Return the groups whose gaps began first; those that began at once are in the order of their ids."""
    found: dict[str, None] = {}
    starts = gaps.starts[members]
    place = 0
    while place < len(members) and len(found) < MOST_NAMED:
        following = int(np.searchsorted(starts, starts[place], side="right"))
        found |= dict.fromkeys(sorted(gaps.taskgroup_ids[each] for each in members[place:following].tolist()))
        place = following
    return tuple(islice(found, MOST_NAMED))


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
