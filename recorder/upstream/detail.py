"""The short text that goes with a failure: printable, without secrets, without pages: pure."""

from __future__ import annotations

import json

MAX_CHARACTERS = 200

_REDACTED = "[redacted]"
_CUT = "..."


def plain_detail(text: str, secret: str) -> str:
    """One line of printable ASCII, at most MAX_CHARACTERS long, with `secret` nowhere in it.

    What is not printable ASCII is written as a backslash escape, and a backslash as two.
    """
    if secret:
        text = text.replace(secret, _REDACTED)
    line = " ".join(text.split()).encode("unicode_escape").decode("ascii")
    return line if len(line) <= MAX_CHARACTERS else line[: MAX_CHARACTERS - len(_CUT)] + _CUT


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
