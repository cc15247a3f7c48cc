"""`recorder run --every`: a number of seconds, with `--once` only."""

from __future__ import annotations

import pytest

from tests.support.program import Program


@pytest.mark.parametrize(
    "arguments",
    [("--every", "60"), ("--check", "--every", "60"), ("--once", "--every", "0"), ("--once", "--every", "x")],
)
def test_wrong_usage(bare: Program, arguments: tuple[str, ...]) -> None:
    result = bare.run("run", *arguments)
    assert result.status == 2
    assert "--every" in result.err
