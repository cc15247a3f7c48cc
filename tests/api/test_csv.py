"""CSV: any text survives a round trip, and no cell is a formula."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from api.exports.csv import cell, csv_line, inert


@given(st.lists(st.lists(st.text(), min_size=2, max_size=4), min_size=1))
def test_any_text_survives_a_round_trip(rows: list[list[str]]) -> None:
    written = "".join(csv_line(map(cell, row)) for row in rows)
    assert list(csv.reader(io.StringIO(written, newline=""), strict=True)) == rows


@given(st.text())
def test_no_cell_starts_like_a_formula(text: str) -> None:
    cell_text = inert(text)
    assert cell_text is not None and not cell_text.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cell_text == text or (cell_text == f"'{text}" and text[0] in "=+-@\t\r")


def test_null_differs_from_an_empty_text() -> None:
    assert csv_line([cell(None), cell(""), cell(0), cell(False), cell(-0.5), cell(1e22)]) == (
        ',"",0,false,-0.5,1e+22\r\n'
    )
