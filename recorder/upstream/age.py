"""Reading how old an answer is from its response headers. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

MAX_AGE_SECONDS = 2**31
"""What RFC 9111 reads a number that is too large as: older than anything that was ever seen."""

_WHOLE_NUMBER = re.compile(r"[0-9]+")
_MAX_DIGITS = len(str(MAX_AGE_SECONDS))


def age_of(headers: Mapping[str, str]) -> timedelta:
    """Return how long before it was received a response was given, by its `Age`: 0 without a valid one.

    `headers` must find names in lower case. Only caches send an `Age`. Of several ones the first counts, and
    anything but a whole number of seconds is ignored, as RFC 9111 demands.
    """
    text = headers.get("age", "").partition(",")[0].strip()
    if not _WHOLE_NUMBER.fullmatch(text):
        return timedelta()
    digits = text.lstrip("0") or "0"
    return timedelta(
        seconds=MAX_AGE_SECONDS if len(digits) > _MAX_DIGITS else min(int(digits), MAX_AGE_SECONDS)
    )
