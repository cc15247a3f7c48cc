"""Values as text for people; what others said is shown so that it cannot pass for something else. Pure."""

from __future__ import annotations

import json
import unicodedata
from typing import Any
from urllib.parse import quote

from markupsafe import Markup, escape

from recorder.ledger.timestamps import parse_time

UNKNOWN = "–"
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Categories of characters that cannot be seen, or that change how others are shown."""
_JOINER = "\u200d"
"""It has no effect but to join emoji and letters."""


def visible(text: object) -> Markup:
    """Return a text of others with its direction kept apart from ours, and control characters spelled out."""
    shown = str(text)
    if shown.isprintable():
        return Markup("<bdi>") + shown + Markup("</bdi>")
    return Markup("<bdi>{}</bdi>").format(Markup("").join(_spelled(character) for character in shown))


def plain_visible(text: object) -> str:
    """Return what `visible` shows, as plain text for attributes."""
    return "".join(
        f"\\u{ord(character):04x}" if _is_hidden(character) else character for character in str(text)
    )


def scalar_words(value: Any) -> str:
    """Return a value of metadata as text: a string as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def number_words(value: float | None, digits: int = 0) -> str:
    """Return a number with separators, a dash if it is unknown."""
    return UNKNOWN if value is None else f"{value:,.{digits}f}"


def moment_words(time: str | None, *, seconds: bool = True) -> Markup:
    """Return a time of the API as an element that scripts can read, in UTC."""
    if time is None:
        return escape(UNKNOWN)
    shown = f"{time[:10]} {time[11:19] if seconds else time[11:16]}"
    return Markup('<time datetime="{}">{}</time>').format(time, shown)


def age_words(time: str | None) -> Markup:
    """Return a time of the API as `moment_words` does; a script adds how long ago it was."""
    if time is None:
        return escape(UNKNOWN)
    shown = f"{time[:10]} {time[11:19]}"
    return Markup('<time datetime="{}" data-ago>{}</time>').format(time, shown)


def short_moment(time: str) -> Markup:
    """Return a time of the API as `moment_words` does, without its date and its seconds."""
    return Markup('<time datetime="{0}" title="{1} UTC">{2}</time>').format(
        time, f"{time[:10]} {time[11:19]}", time[11:16]
    )


def unix_millis(time: str) -> float:
    """Return a time of the API as Unix milliseconds."""
    return parse_time(time).timestamp() * 1000


def path_part(text: str) -> str:
    """Return a text as one part of a path."""
    return quote(text, safe="")


def state_words(name: str | None) -> str:
    """Return a name of the API, such as `action_required`, in words."""
    return UNKNOWN if name is None else name.replace("_", " ")


def _spelled(character: str) -> Markup:
    if not _is_hidden(character):
        return escape(character)
    return Markup('<span class="hidden-character">\\u{:04x}</span>').format(ord(character))


def _is_hidden(character: str) -> bool:
    return character not in {_JOINER, "\n"} and unicodedata.category(character) in _HIDDEN
