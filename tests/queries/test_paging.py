"""Cursors: texts that change in transit are recognized."""

from __future__ import annotations

import pytest

from recorder.queries.paging import Cursor, PagePosition, read_cursor

QUERY = "0123456789abcdef"


@pytest.mark.parametrize("position", [(1,), ("2026-11-24T12:00:00.000000Z", "tgrp_2")])
def test_a_cursor_with_one_character_changed_is_refused(position: PagePosition) -> None:
    text = Cursor(QUERY, position).text()
    assert read_cursor(text).position_in(QUERY) == position
    for number, character in enumerate(text):
        for other in {"A", "x", "0"} - {character}:
            with pytest.raises(ValueError, match=r"not a cursor|another query"):
                read_cursor(f"{text[:number]}{other}{text[number + 1 :]}").position_in(QUERY)
