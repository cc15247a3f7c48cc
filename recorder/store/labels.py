"""Finding groups by their labels."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, select

from recorder.completion.labels import json_text, mark_of, texts_meant
from recorder.store.tables import group_labels


def groups_with(key: str, text: str | None = None) -> Select[Any]:
    """Select the groups with a label; `text` is that of a string, or of another scalar that reads so."""
    found = select(group_labels.c.taskgroup_id).where(group_labels.c.key == key_mark(key))
    return found if text is None else found.where(group_labels.c.value.in_(marks_meant(text)))


def key_mark(key: str) -> str:
    """Return what stands for a key."""
    return mark_of(json_text(key))


def marks_meant(text: str) -> list[str]:
    """Return what stands for the values that somebody may mean by `text`."""
    return [mark_of(meant) for meant in texts_meant(text)]
