"""CSV as RFC 4180 has it, of values as the SQL views hold them; pure."""

from __future__ import annotations

from collections.abc import Iterable

_QUOTED = frozenset('",\r\n')
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a cell for a formula, if it is the cell's beginning."""


def csv_line(cells: Iterable[str]) -> str:
    """Return a line of cells that are made by `cell`."""
    return ",".join(cells) + "\r\n"


def cell(value: object) -> str:
    """Return a value as a cell: `true` and `false`, floats as short as they are exact.

    NULL is an empty cell, an empty text is one of two quotes.
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
    """Return a text that no spreadsheet takes for a formula: with an apostrophe before it if one could."""
    return f"'{text}" if text is not None and text.startswith(_FORMULA) else text
