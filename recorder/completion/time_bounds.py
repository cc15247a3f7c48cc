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
class Window:
    """When a transition can have happened; the response received at `latest` is the first to show it.

    `modified_at` is that of the response, None if it lies outside the window. `first_sight`: there was no
    earlier observation, so `earliest` is the group's creation (None if that is unknown).
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

    `asked_before` is when the last poll that showed the earlier observation was sent, None if there was none.
    The other arguments are those of the later observation. A `created_at` after `observed_at` is ignored, as
    is a time that is not plausible. If our clock stepped back in between, the window has no lower bound: its
    ends come from clocks that disagree, and its middle would mean nothing.
    """
    first_sight = asked_before is None
    created_at = created_at if is_plausible(created_at) else None
    if asked_before is not None and asked_before > observed_at:
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
    return Window(earliest, observed_at, modified_at if inside else None, first_sight)


def start_in(window: Window) -> Moment:
    """Return when work started; the group's last update is only an upper bound for it."""
    latest = window.modified_at or window.latest
    if window.earliest is None:
        return Moment(latest, None, latest, Basis.FIRST_SIGHT)
    if window.first_sight:
        return Moment(window.earliest, window.earliest, latest, Basis.CREATED_AT)
    return Moment(_middle(window.earliest, latest), window.earliest, latest, Basis.MIDPOINT)


def end_in(window: Window) -> Moment:
    """Return when work ended: at the group's last update if that is known."""
    if window.modified_at is not None:
        return Moment(window.modified_at, window.earliest, window.latest, Basis.MODIFIED_AT)
    if window.earliest is None:
        return Moment(window.latest, None, window.latest, Basis.FIRST_SIGHT)
    middle = _middle(window.earliest, window.latest)
    return Moment(middle, window.earliest, window.latest, Basis.MIDPOINT)


def _middle(earliest: datetime, latest: datetime) -> datetime:
    return earliest + (latest - earliest) / 2
