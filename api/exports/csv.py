"""CSV (RFC 4180) of values from the SQL views."""

from __future__ import annotations

from collections.abc import Iterable

_QUOTED = frozenset('",\r\n')
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet treats a cell that starts with one of these as a formula."""


def csv_line(cells: Iterable[str]) -> str:
    """Return a line of cells made by `cell`."""
    return ",".join(cells) + "\r\n"


def cell(value: object) -> str:
    """Return a value as a cell: booleans as `true` and `false`, floats in their shortest exact form.

    NULL is an empty cell, an empty text is `""`.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if text and _QUOTED.isdisjoint(text):
        return text
    return '"' + text.replace('"', '""') + '"'


def inert(text: str | None) -> str | None:
    """Return a text, prefixed with an apostrophe if a spreadsheet would treat it as a formula."""
    return f"'{text}" if text is not None and text.startswith(_FORMULA) else text
