"""What was not seen, over all groups: gaps that overlap and have the same cause are one outage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema
from sqlalchemy import Connection

from recorder.ledger.poll_outcome import Cause
from recorder.queries.param_types import complaint
from recorder.queries.query import StretchQuery
from recorder.store.gap_rows import GroupGap, read_all_gaps, recorded_extent


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


@dataclass(slots=True)
class SharedOutage:
    """Gaps of one cause that overlap. `to` is None while one of them is open. `groups` are the groups that
    were not seen, in the order in which their gaps began."""

    cause: str
    from_: datetime
    to: datetime | None
    gaps: int = 0
    groups: dict[str, None] = field(default_factory=dict)

    def add(self, gap: GroupGap) -> None:
        """Add a gap that overlaps."""
        self.gaps += 1
        self.groups[gap.taskgroup_id] = None
        self.to = None if self.to is None or gap.to is None else max(self.to, gap.to)


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
    wanted = [gap for gap in gaps if query.cause is None or gap.cause in query.cause]
    return Outages(merge_gaps(wanted), *extent)


def merge_gaps(gaps: Iterable[GroupGap]) -> list[SharedOutage]:
    """Return the outages of `gaps`, which are in the order of their start."""
    found: list[SharedOutage] = []
    latest: dict[str, SharedOutage] = {}
    for gap in gaps:
        outage = latest.get(gap.cause)
        if outage is None or (outage.to is not None and gap.from_ > outage.to):
            outage = latest[gap.cause] = SharedOutage(gap.cause, gap.from_, gap.to)
            found.append(outage)
        outage.add(gap)
    return found
