"""Times as text: our own format (RFC 3339, UTC, microseconds, `Z`) and the upstream's (any RFC 3339)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_RFC3339 = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_OURS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d\.\d{6}Z", re.ASCII)
_OUR_LENGTH = 27
_LEAP_SECOND = 60
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=4096)
def format_time(moment: datetime) -> str:
    """Return `moment` (aware) as `2026-11-24T12:16:00.000000Z`."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return f"{utc.isoformat(timespec='microseconds')[:26]}Z"


@lru_cache(maxsize=1024)
def parse_our_time(text: str) -> datetime:
    """Parse a time in our own format.

    Most times come more than once: a group's `created_at` in all of its responses, the end of an interval as
    the start of the next one.

    Raises:
        ValueError: the text has another format, or there is no such time.
    """
    # `fromisoformat` alone also accepts week dates and times without an offset.
    if not _OURS.fullmatch(text):
        raise ValueError(f"not a time of ours: {text!r}")
    return datetime.fromisoformat(text)


def parse_time(text: str) -> datetime:
    """Parse an RFC 3339 time with any offset, truncated to microseconds, as UTC.

    A leap second is read as the first moment of the next minute.

    Raises:
        ValueError: the text is not an RFC 3339 time, or lies outside the years 1 to 9999.
    """
    if len(text) == _OUR_LENGTH:
        try:
            return parse_our_time(text)
        except ValueError:
            pass
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"not an RFC 3339 time: {text!r}")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    micro = int((match[7] or "")[:6].ljust(6, "0"))
    leap = second == _LEAP_SECOND
    naive = datetime(year, month, day, hour, minute, 59 if leap else second, 0 if leap else micro, UTC)
    try:
        return naive - _offset(match[8]) + timedelta(seconds=1 if leap else 0)
    except OverflowError:
        raise ValueError(f"outside the years 1 to 9999: {text!r}") from None


def parse_upstream_time(value: object) -> datetime | None:
    """Return the time in an upstream member, None if it has none."""
    if not isinstance(value, str):
        return None
    try:
        return parse_time(value)
    except ValueError:
        return None


def is_plausible(moment: datetime | None) -> bool:
    """Whether a time of the upstream can be one: not that of an unset clock, nor a zero value."""
    return moment is not None and moment >= _EARLIEST


def _offset(text: str) -> timedelta:
    if text in "Zz":
        return timedelta()
    hours, minutes = int(text[1:3]), int(text[4:6])
    if hours > 23 or minutes > 59:
        raise ValueError(f"not an offset: {text!r}")
    return timedelta(hours=hours, minutes=minutes) * (-1 if text[0] == "-" else 1)
