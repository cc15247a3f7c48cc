"""Validate group ids."""

from __future__ import annotations

from unicodedata import category

MAX_LENGTH = 255


def check_taskgroup_id(text: str) -> str:
    """Return `text` if it is a valid group id.

    Raises:
        ValueError: it is not; the message has the reason, and what is allowed.
    """
    if not text:
        raise ValueError("is empty; an id has 1 to 255 characters")
    if len(text) > MAX_LENGTH:
        raise ValueError(f"has {len(text)} characters; an id has 1 to {MAX_LENGTH}")
    if text in {".", ".."}:
        raise ValueError("is a path step, not an id")
    if "/" in text:
        raise ValueError("contains '/'; give the id alone, not a path or an address")
    if not all(character.isprintable() or category(character) == "Zs" for character in text):
        raise ValueError("contains a character that cannot be printed")
    return text
