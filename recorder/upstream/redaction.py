"""The short text that goes with a failure: printable, without secrets, without pages: pure."""

from __future__ import annotations

import json
import re
from functools import lru_cache

MAX_CHARACTERS = 200

MAX_FRAGMENT = 7
"""How many characters of a secret may stand together: an echo may be cut, split, or in another case."""

_MAX_RAW_CHARACTERS = 1000
_REDACTED = "[redacted]"
_CUT = "..."


def plain_detail(text: str, secret: str) -> str:
    """One line of printable ASCII, at most MAX_CHARACTERS long, with `secret` nowhere in it.

    What is not printable ASCII is written as a backslash escape, and a backslash as two.
    """
    words = redacted(text[:_MAX_RAW_CHARACTERS], secret).split()
    line = " ".join(words).encode("unicode_escape").decode("ascii")
    return line if len(line) <= MAX_CHARACTERS else line[: MAX_CHARACTERS - len(_CUT)] + _CUT


def redacted(text: str, secret: str) -> str:
    """`text` without `secret`, in whatever case, and without pieces of it longer than MAX_FRAGMENT."""
    if not secret:
        return text
    kept, end = "", 0
    for start, stop in _hits(text, secret):
        kept += text[end:start] + _REDACTED
        end = stop
    return kept + text[end:]


def error_message(body: bytes) -> str | None:
    """The message in an error body of a shape that the upstream is known to send, else None."""
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
    """Where pieces of the secret begin and end, those that overlap as one."""
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
    """Finds every place where `size` characters of the secret stand, overlapping ones too."""
    pieces = {secret[start : start + size] for start in range(len(secret) - size + 1)}
    return re.compile(f"(?={'|'.join(map(re.escape, sorted(pieces)))})", re.ASCII | re.IGNORECASE)
