"""`recorder completion --compare`."""

from __future__ import annotations

import json

from sqlalchemy import Engine

from tests.support.databases import ON_SQLITE
from tests.support.episode_rows import KEY, add_completed
from tests.support.program import Program


def test_two_values_side_by_side(engine: Engine, program: Program) -> None:
    add_completed(engine, "tgrp_slow_", "slow", [(number, 100 + number) for number in range(20)])
    add_completed(engine, "tgrp_fast_", "fast", [(number, 10 + number) for number in range(30)])
    options = ("completion", "--compare", f"metadata.{KEY}", "--value", "slow", "--than-value", "fast")
    lines = program.ok(*options).splitlines()
    slow, fast = (next(line.split() for line in lines if line.startswith(name)) for name in ("slow", "fast"))
    assert slow[1:4] == ["20", "of", "20"]
    assert fast[1:4] == ["30", "of", "30"]
    difference = next(line.split() for line in lines if line.startswith("difference"))
    body = json.loads(program.ok(*options, "--json"))
    assert body["comparison"]["differences"]["p50"]["seconds"] == 85
    assert difference[1:3] == ["+1", "min"]
    assert any("log-rank test, p < 0.001" in line for line in lines)


@ON_SQLITE
def test_what_is_missing_is_named(program: Program) -> None:
    done = program.run("completion", "--compare", "time")
    assert done.status == 2
    assert "--compare needs than_from or than_to" in done.err
