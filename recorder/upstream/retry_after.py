"""Reading when the upstream wants to be polled again from its response headers. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_RETRY_AFTER_SECONDS = 3600.0
"""The upper limit, so that one bad header cannot silence the recorder."""

_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?")


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds to wait from `now`, 0 to MAX_RETRY_AFTER_SECONDS; None without a valid header.

    `retry-after-ms` (milliseconds) takes precedence over `retry-after` (seconds or an HTTP date). `headers`
    must find names in lower case. A date in the past is ignored.
    """
    seconds = _number(headers.get("retry-after-ms", ""))
    if seconds is not None:
        seconds /= 1000
    else:
        text = headers.get("retry-after", "")
        seconds = _number(text)
        if seconds is None:
            seconds = _seconds_until(text, now)
    return None if seconds is None else min(seconds, MAX_RETRY_AFTER_SECONDS)


def _number(text: str) -> float | None:
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def _seconds_until(text: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = (moment - now).total_seconds()
    return seconds if seconds >= 0 else None
