"""Estimate when an unobserved transition happened: a best guess between two bounds, with its basis."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from recorder.ledger.timestamps import is_plausible
from recorder.ledger.value_class import value_class


class Basis(StrEnum):
    """What a moment's `at` is based on: a time reported by the upstream, the middle of the bounds, or the
    first sight."""

    MODIFIED_AT = "modified_at"
    MIDPOINT = "midpoint"
    CREATED_AT = "created_at"
    FIRST_SIGHT = "first_sight"


@value_class
class Moment:
    """A time in [earliest, latest], estimated as `at`; `earliest` is None if there is no lower bound."""

    at: datetime
    earliest: datetime | None
    latest: datetime
    basis: Basis


@value_class
class Elapsed:
    """The time from one moment to another, in seconds, with its bounds; None if there is none."""

    seconds: float
    earliest: float | None
    latest: float | None


@value_class
class Window:
    """When a transition can have happened; the response received at `latest` is the first to show it.

    `modified_at` is that of the response, None if it lies outside the window. `first_sight`: there was no
    earlier observation, so `earliest` is the group's creation (None if that is unknown). `set_back`: our
    clock stepped back in the window, so that its ends come from clocks that disagree and `earliest` is None.
    """

    earliest: datetime | None
    latest: datetime
    modified_at: datetime | None
    first_sight: bool
    set_back: bool


def window_of(
    asked_before: datetime | None,
    observed_at: datetime,
    *,
    created_at: datetime | None,
    modified_at: datetime | None,
) -> Window:
    """Return the window between two consecutive observations.

    `asked_before` is when the last poll that showed the earlier observation was sent, None if there was none.
    The other arguments are those of the later observation. A `created_at` after `observed_at` is ignored, as
    is a time that is not plausible. If our clock stepped back in between, the window has no lower bound, as
    its middle would mean nothing.
    """
    first_sight = asked_before is None
    set_back = asked_before is not None and asked_before > observed_at
    created_at = created_at if is_plausible(created_at) else None
    if set_back:
        earliest = None
    else:
        bounds = (bound for bound in (asked_before, created_at) if bound is not None)
        earliest = max((bound for bound in bounds if bound <= observed_at), default=None)
    inside = (
        modified_at is not None
        and is_plausible(modified_at)
        and modified_at <= observed_at
        and (earliest is None or earliest <= modified_at)
    )
    return Window(earliest, observed_at, modified_at if inside else None, first_sight, set_back)


def start_in(window: Window) -> Moment:
    """Return when work started: not after the group's last update, which is the start itself or a later one.

    Of the middle of the window and the last update, the earlier one is the better guess.
    """
    earliest, modified_at = window.earliest, window.modified_at
    latest = modified_at or window.latest
    if earliest is None:
        return Moment(latest, None, latest, Basis.FIRST_SIGHT)
    if window.first_sight:
        return Moment(earliest, earliest, latest, Basis.CREATED_AT)
    middle = _middle(earliest, window.latest)
    if modified_at is not None and modified_at < middle:
        return Moment(modified_at, earliest, latest, Basis.MODIFIED_AT)
    return Moment(middle, earliest, latest, Basis.MIDPOINT)


def end_in(window: Window) -> Moment:
    """Return when work ended: at the group's last update if that is known."""
    return reached_between(window.earliest, window.latest, window.modified_at)


def reached_between(earliest: datetime | None, latest: datetime, modified_at: datetime | None) -> Moment:
    """Return when something happened in a window: at the last update in it, if that is what happened."""
    if modified_at is not None:
        return Moment(modified_at, earliest, latest, Basis.MODIFIED_AT)
    if earliest is None:
        return Moment(latest, None, latest, Basis.FIRST_SIGHT)
    return Moment(_middle(earliest, latest), earliest, latest, Basis.MIDPOINT)


def elapsed(start: Moment, end: Moment, *, set_back: bool) -> Elapsed:
    """Return the time between two moments, with its bounds.

    If our clock stepped back, in the window of `end` (`set_back`) or before it, the difference is no upper
    bound; a time that would be negative then is 0.
    """
    shortest = None if end.earliest is None else elapsed_seconds(start.latest, end.earliest)
    longest = None
    if not set_back and start.earliest is not None and start.earliest <= end.latest:
        longest = elapsed_seconds(start.earliest, end.latest)
    return Elapsed(elapsed_seconds(start.at, end.at), shortest, longest)


def elapsed_seconds(start: datetime, end: datetime) -> float:
    """Return the seconds from `start` to `end`, 0 if that is negative."""
    return max(0.0, (end - start).total_seconds())


def _middle(earliest: datetime, latest: datetime) -> datetime:
    return earliest + (latest - earliest) / 2
