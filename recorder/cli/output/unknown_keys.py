"""Tell a person that no group has a metadata key that was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from sqlalchemy import Connection

from recorder.cli.output.console import plain
from recorder.store.totals import has_label, label_names

MOST_COMPARED = 1000
MOST_LISTED = 10


def unknown_key_notes(connection: Connection, keys: Iterable[str]) -> list[str]:
    """Return a line for each key that no group has in its metadata, with what may have been meant."""
    unknown = [key for key in dict.fromkeys(keys) if not has_label(connection, key)]
    names = label_names(connection, MOST_COMPARED) if unknown else []
    return [_note(key, names) for key in unknown]


def _note(key: str, names: list[str]) -> str:
    note = f"no group has {plain(key).plain} in its metadata"
    close = get_close_matches(key, names, n=1)
    if close:
        return f"{note}; did you mean {plain(close[0]).plain}?"
    if not names:
        return note
    more = ", …" if len(names) > MOST_LISTED else ""
    return f"{note}; the keys are {', '.join(plain(name).plain for name in names[:MOST_LISTED])}{more}"
