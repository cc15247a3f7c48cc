"""CSV: any text can be read back, and no cell is a formula."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from api.exports.csv import cell, csv_line, inert


@given(st.lists(st.lists(st.text(), min_size=2, max_size=4), min_size=1))
def test_any_text_is_read_back_by_another_reader(rows: list[list[str]]) -> None:
    written = "".join(csv_line(map(cell, row)) for row in rows)
    assert list(csv.reader(io.StringIO(written, newline=""), strict=True)) == rows


@given(st.text())
def test_no_cell_begins_like_a_formula(said: str) -> None:
    shown = inert(said)
    assert shown is not None and not shown.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert shown == said or (shown == f"'{said}" and said[0] in "=+-@\t\r")


def test_null_and_an_empty_text_differ() -> None:
    assert csv_line([cell(None), cell(""), cell(0), cell(False), cell(-0.5), cell(1e22)]) == (
        ',"",0,false,-0.5,1e+22\r\n'
    )
