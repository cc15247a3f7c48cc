"""The glossary has the words that are values of the API, each once and in order."""

from __future__ import annotations

from recorder.completion.episodes import Outcome
from recorder.ledger.entries import Kind
from recorder.ledger.status_fields import Phase
from recorder.ledger.timeline import Certainty
from recorder.ledger.watch import WatchState
from tests.support.pages import page, rows

ROWS = rows(page("docs/glossary.md"))
WORDS = [word for row in ROWS for word in row[0].split(", ")]


def test_the_words_are_in_order_and_each_is_there_once() -> None:
    first = [row[0].lower() for row in ROWS]
    assert first == sorted(set(first))


def test_phases_states_and_kinds_have_a_row() -> None:
    assert {*Phase, *WatchState} <= set(WORDS)
    assert set(Kind) <= set(WORDS)


def test_values_that_have_no_row_are_explained_in_one() -> None:
    meanings = {row[0]: row[1] for row in ROWS}
    for word, values in (("certainty", Certainty), ("outcome", Outcome)):
        assert all(f"`{value}`" in meanings[word] for value in values)
