"""The page on the ledger: its lists and its example of a chain."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from recorder.ledger.anomalies import Anomaly
from recorder.ledger.chain import GENESIS, digest_of
from recorder.ledger.entries import Action, Kind
from recorder.ledger.poll_outcome import Cause
from recorder.ledger.response_body import MAX_DEPTH, parse_body
from recorder.ledger.status_fields import Phase
from recorder.ledger.transitions import MIN_MISSING_POLLS
from recorder.ledger.watch import WatchState
from recorder.upstream.redaction import MAX_CHARACTERS
from tests.support.pages import blocks, first_codes, page, plain, rows, section, table
from tests.support.records import made_record
from tests.support.stories import Story

PAGE = "docs/reference/ledger.md"
LISTS: dict[str, Iterable[str]] = {
    "Kinds of entries": Kind,
    "Phases": Phase,
    "Anomalies": Anomaly,
}


def _lines() -> list[dict[str, Any]]:
    (example,) = (block for block in blocks(page(PAGE)) if block.language == "json")
    return [json.loads(line) for line in example.code.splitlines()]


@pytest.mark.parametrize("heading", LISTS)
def test_lists(heading: str) -> None:
    assert sorted(first_codes(table(PAGE, heading))) == sorted(LISTS[heading])


def test_phases_are_in_matching_order() -> None:
    assert first_codes(table(PAGE, "Phases")) == list(Phase)


def test_actions_and_states() -> None:
    described = table(PAGE, "`watch` entries")
    assert sorted(first_codes(described)) == sorted(Action)
    assert {plain(row[2]) for row in described} == {*WatchState, "the same as before"}


def _records() -> list[dict[str, Any]]:
    """Return records in which every possible member occurs."""
    story = Story()
    story.answer(1)
    story.fail(11)
    story.answer(100)
    story.answer(110, parse_body(b'{"status":{"num_task_runs":9007199254740993}}'))
    return [made_record(entry) for entry in story.entries]


def test_members_of_gaps() -> None:
    (gap,) = (record["gap"] for record in _records() if record["kind"] == "gap")
    assert first_codes(table(PAGE, "`gap` entries")) == list(gap)


def test_causes() -> None:
    _, _, causes = section(page(PAGE), "`gap` entries").partition("The cause is")
    assert first_codes(rows(causes)) == list(Cause)


def test_limits() -> None:
    text = page(PAGE)
    assert f"{MAX_DEPTH} levels" in text
    assert f"at most {MAX_CHARACTERS} characters" in text
    assert f"at least {MIN_MISSING_POLLS} polls in a row" in text


def test_members_of_the_record() -> None:
    members = dict.fromkeys(name for record in _records() for name in record)
    assert sorted(first_codes(table(PAGE, "The chain"))) == sorted(members)


def test_members_of_the_example() -> None:
    members = [list(record) for record in _records()]
    assert all(list(line["record"]) in members for line in _lines())


def test_the_example_is_a_chain() -> None:
    previous = GENESIS
    for line in _lines():
        assert digest_of(previous, line["record"]) == line["digest"]
        previous = line["digest"]


def test_the_recipe_recomputes_the_example() -> None:
    (recipe,) = (block for block in blocks(page(PAGE)) if block.language == "python")
    names: dict[str, Any] = {}
    exec(recipe.code, names)
    previous = "0" * 64
    for line in _lines():
        assert names["digest"](previous, line["record"]) == line["digest"]
        previous = line["digest"]
