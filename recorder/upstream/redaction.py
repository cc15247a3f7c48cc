"""The short text that describes a failure: printable, and without secrets or HTML pages. Pure."""

from __future__ import annotations

import json
import re
from functools import lru_cache

MAX_CHARACTERS = 200

MAX_FRAGMENT = 7
"""The longest piece of a secret that may remain; the upstream may return it cut, split or in another case."""

_MAX_RAW_CHARACTERS = 1000
_REDACTED = "[redacted]"
_CUT = "..."


def plain_detail(text: str, secret: str) -> str:
    """Return `text` as one line of printable ASCII without `secret`, at most MAX_CHARACTERS long.

    Other characters are written as backslash escapes, and a backslash is doubled.
    """
    words = redacted(text[:_MAX_RAW_CHARACTERS], secret).split()
    line = " ".join(words).encode("unicode_escape").decode("ascii")
    return line if len(line) <= MAX_CHARACTERS else line[: MAX_CHARACTERS - len(_CUT)] + _CUT


def redacted(text: str, secret: str) -> str:
    """Return `text` without `secret`, in any case, and without pieces of it longer than MAX_FRAGMENT."""
    if not secret:
        return text
    kept, end = "", 0
    for start, stop in _hits(text, secret):
        kept += text[end:start] + _REDACTED
        end = stop
    return kept + text[end:]


def error_message(body: bytes) -> str | None:
    """Return the message of an error body in one of the upstream's known shapes, else None."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    match value:
        case {"error": {"message": str(message)}} if message:
            return message
        case {"detail": str(message)} if message:
            return message
        case {"detail": [{"msg": str(message)}, *_]} if message:
            return message
    return None


def _hits(text: str, secret: str) -> list[tuple[int, int]]:
    """Return where pieces of the secret start and end; overlapping pieces are merged."""
    size = min(MAX_FRAGMENT + 1, len(secret))
    hits: list[tuple[int, int]] = []
    for match in _pieces(secret, size).finditer(text):
        start = match.start()
        if hits and start <= hits[-1][1]:
            start = hits.pop()[0]
        hits.append((start, match.start() + size))
    return hits


@lru_cache(maxsize=1)
def _pieces(secret: str, size: int) -> re.Pattern[str]:
    """Return a pattern that finds every piece of `size` characters of the secret, even overlapping ones."""
    pieces = {secret[start : start + size] for start in range(len(secret) - size + 1)}
    return re.compile(f"(?={'|'.join(map(re.escape, sorted(pieces)))})", re.ASCII | re.IGNORECASE)
