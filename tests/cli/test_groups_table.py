"""`recorder groups`: columns, filters, sorting, and what is left out of the table."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import Engine

from recorder.cli.output.group_columns import ORDERS, in_order
from recorder.store.enrolment import watch_group
from tests.support.databases import ON_SQLITE
from tests.support.program import Program
from tests.support.recording import RULES, Recording, active, after, settled
from tests.support.terminal import unwrapped


@pytest.fixture
def groups(program: Program, engine: Engine) -> Program:
    recording = Recording(engine)
    for name, note in (("acme", "March [/batch]"), ("bolt", None), ("typo", None)):
        watch_group(engine, name, actor="ada", note=note, now=lambda: after(0), rules=RULES)
    recording.see("acme", 1, settled(completed=1, failed=2), metadata={"customer": "acme", "n": 1.5})
    recording.see("bolt", 2, active(running=3, failed=1), metadata={"customer": "bolt"})
    program.ok("unwatch", "typo")
    return program


def names(table: str) -> list[str]:
    """The groups of a table, in order."""
    found = (line.split()[0] for line in table.splitlines() if line)
    return [word for word in found if word in {"acme", "bolt", "typo"}]


def row(table: str, name: str) -> str:
    return next(line for line in table.splitlines() if line.startswith(f"{name} "))


@ON_SQLITE
def test_columns_are_added_to_the_table(groups: Program) -> None:
    table = groups.ok("groups", "--columns", "note, failed,metadata.customer,metadata.n")
    assert table.splitlines()[0].split()[-4:] == ["note", "failed", "metadata.customer", "metadata.n"]
    acme = row(table, "acme").split()
    assert acme[-5:] == ["March", "[/batch]", "2", "acme", "1.5"]
    assert row(table, "bolt").split()[-2:] == ["1", "bolt"]


@ON_SQLITE
def test_what_is_expected_is_a_column(groups: Program) -> None:
    groups.ok("expect", "bolt", "--runs", "7")
    table = groups.ok("groups", "--columns", "expected,eta")
    assert row(table, "bolt").split()[-2:] == ["7", "runs"]


def test_an_unknown_column_is_named_with_those_there_are(bare: Program) -> None:
    line = bare.run("groups", "--columns", "note,colour").wrong_usage()
    assert "'colour'" in line and "metadata.KEY" in line


def test_a_group_that_was_stopped_and_never_seen_is_left_out_of_the_table(groups: Program) -> None:
    assert names(groups.ok("groups")) == ["acme", "bolt"]
    assert names(groups.ok("groups", "--sort", "id")) == ["acme", "bolt"]
    assert names(groups.ok("groups", "--all")) == ["acme", "bolt", "typo"]
    assert len(json.loads(groups.ok("groups", "--json"))["items"]) == 3


def test_groups_are_filtered_as_in_the_api(groups: Program) -> None:
    assert names(groups.ok("groups", "--metadata", "customer=bolt")) == ["bolt"]
    assert names(groups.ok("groups", "--metadata", "customer=acme", "--metadata", "n=1.5")) == ["acme"]
    assert names(groups.ok("groups", "--changed-from", "2026-11-24T12:00:02Z")) == ["bolt"]
    assert "no such groups" in groups.ok("groups", "--metadata", "customer=carl")


def test_groups_that_need_attention(groups: Program) -> None:
    assert "no group is stalled\n" in groups.ok("groups", "--stalled", "--limit", "5")
    assert groups.run("expect", "bolt", "--by", "2026-11-24T12:00:02Z").status == 0
    assert names(groups.ok("groups", "--overdue")) == ["bolt"]
    assert names(groups.ok("groups", "--overdue", "--sort", "id")) == ["bolt"]
    assert "no such groups" in groups.ok("groups", "--overdue", "--short")
    never = groups.using(RECORDER_STALL_AFTER="0")
    assert "RECORDER_STALL_AFTER" in never.run("groups", "--stalled").wrong_usage()


@ON_SQLITE
def test_the_whole_table_is_sorted_before_it_is_cut(groups: Program) -> None:
    assert names(groups.ok("groups", "--sort", "failed", "--limit", "1")) == ["acme"]
    assert names(groups.ok("groups", "--sort", "finished", "--limit", "1")) == ["bolt"]


@pytest.mark.parametrize("words", [["--json"], ["--cursor", "x"], ["--metadata", "customer"]])
def test_what_does_not_go_together_is_wrong_usage(bare: Program, words: list[str]) -> None:
    assert (
        words[0].removeprefix("--").upper()
        in bare.run("groups", "--sort", "id", *words).wrong_usage().upper()
    )


def body(name: str, failed: int | None, seen: str | None, p50: str | None) -> dict[str, Any]:
    counts = {} if failed is None else {"failed": failed}
    return {
        "taskgroup_id": name,
        "status": None if failed is None else {"task_run_status_counts": counts},
        "progress": {"fraction": failed and 1 / failed},
        "last_seen_at": seen,
        "eta": {"p50": p50},
    }


ONE, TWO, UNKNOWN = body("ü", 1, "2026", None), body("v", 2, "2025", "2026"), body("a", None, None, None)
SORTED = {
    "id": [UNKNOWN, TWO, ONE],
    "failed": [TWO, ONE, UNKNOWN],
    "finished": [TWO, ONE, UNKNOWN],
    "seen": [TWO, ONE, UNKNOWN],
    "eta": [TWO, UNKNOWN, ONE],
}


@pytest.mark.parametrize("order", ORDERS)
def test_what_is_not_known_comes_last(order: str) -> None:
    assert in_order([UNKNOWN, ONE, TWO], order) == SORTED[order]


@ON_SQLITE
@pytest.mark.parametrize("width", [60, 80, 120])
def test_nothing_is_cut_off_on_a_terminal(groups: Program, width: int) -> None:
    groups.ok("watch", f"tgrp_{'0' * 32}", "--note", "a note of some length")
    terminal = groups.using(FORCE_COLOR="1", NO_COLOR="1", TERM="xterm-256color", COLUMNS=str(width))
    shown = unwrapped(terminal.ok("groups", "--columns", "note,failed,metadata.customer"))
    for words in unwrapped(groups.ok("groups", "--columns", "note,failed,metadata.customer")).split():
        assert words.strip("─") in shown
