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
    notes = []
    for key in dict.fromkeys(keys):
        if not has_label(connection, key):
            meant = meant_text(connection, key)
            notes.append(f"no group has {plain(key).plain} in its metadata{meant and f'; {meant}'}")
    return notes


def meant_text(connection: Connection, key: str) -> str:
    """Return what may have been meant by a key that no group has, "" if no group has any."""
    names = label_names(connection, MOST_COMPARED)
    close = get_close_matches(key, names, n=1)
    if close:
        return f"did you mean {plain(close[0]).plain}?"
    more = ", …" if len(names) > MOST_LISTED else ""
    listed = ", ".join(plain(name).plain for name in names[:MOST_LISTED])
    return f"the keys are {listed}{more}" if names else ""
