"""When something happened that nobody saw happen: a best guess between two bounds, and what it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Basis(StrEnum):
    """What a moment's `at` rests on: the upstream's word, the middle of its bounds, or when it was seen."""

    MODIFIED_AT = "modified_at"
    MIDPOINT = "midpoint"
    CREATED_AT = "created_at"
    FIRST_SIGHT = "first_sight"


@dataclass(frozen=True, slots=True)
class Moment:
    """A time that lies in [earliest, latest], and is taken to be `at`; `earliest` is None if unbounded."""

    at: datetime
    earliest: datetime | None
    latest: datetime
    basis: Basis


@dataclass(frozen=True, slots=True)
class Window:
    """What is known of a transition that the response received at `latest` is the first to show.

    `modified_at` is that response's, None where it lies outside the window. `first_sight` says that no
    observation came before, so that `earliest` is the group's creation (None where that is not known).
    """

    earliest: datetime | None
    latest: datetime
    modified_at: datetime | None
    first_sight: bool


def window_of(
    asked_before: datetime | None,
    observed_at: datetime,
    *,
    created_at: datetime | None,
    modified_at: datetime | None,
) -> Window:
    """Return the window between two consecutive observations.

    `asked_before` is when the last poll that showed the earlier one was sent, None if there is no earlier
    one; the rest is of the later observation. A `created_at` after `observed_at` is not believed. Where
    our clock stepped back in between, the window is open below: its ends were read off clocks that
    disagree, and its middle would be no guess at all.
    """
    first_sight = asked_before is None
    if asked_before is not None and asked_before > observed_at:
        earliest = None
    else:
        bounds = (bound for bound in (asked_before, created_at) if bound is not None)
        earliest = max((bound for bound in bounds if bound <= observed_at), default=None)
    inside = (
        modified_at is not None
        and modified_at <= observed_at
        and (earliest is None or earliest <= modified_at)
    )
    return Window(earliest, observed_at, modified_at if inside else None, first_sight)


def start_in(window: Window) -> Moment:
    """Return when work started: no later than the group's last update, which only bounds it."""
    latest = window.modified_at or window.latest
    if window.earliest is None:
        return Moment(latest, None, latest, Basis.FIRST_SIGHT)
    if window.first_sight:
        return Moment(window.earliest, window.earliest, latest, Basis.CREATED_AT)
    return Moment(_middle(window.earliest, latest), window.earliest, latest, Basis.MIDPOINT)


def end_in(window: Window) -> Moment:
    """Return when work ended: at the group's last update, if that is known."""
    if window.modified_at is not None:
        return Moment(window.modified_at, window.earliest, window.latest, Basis.MODIFIED_AT)
    if window.earliest is None:
        return Moment(window.latest, None, window.latest, Basis.FIRST_SIGHT)
    middle = _middle(window.earliest, window.latest)
    return Moment(middle, window.earliest, window.latest, Basis.MIDPOINT)


def _middle(earliest: datetime, latest: datetime) -> datetime:
    return earliest + (latest - earliest) / 2
