"""Months of ledgers are archived one after the other and restored by commands: nothing is lost or changed."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from sqlalchemy import Engine, text

from recorder.store.transactions import reading
from tests.support.archive_circle import ArchiveCircle
from tests.support.forker import Forker
from tests.support.program import Program

GROUPS, MONTHS = 24, 3


def test_a_circle(engine: Engine, database_url: str, tmp_path: Path, forker: Forker) -> None:
    program = Program(tmp_path, forker, {"RECORDER_DATABASE_URL": database_url})

    def run(*arguments: str) -> str:
        result = program.run(*arguments)
        assert result.status == 0, result
        return result.out

    circle = ArchiveCircle(engine, tmp_path, run, MONTHS, lambda _: nullcontext())
    circle.fill(GROUPS)
    with reading(engine) as connection:
        kinds = connection.scalars(text("SELECT DISTINCT kind FROM entries"))
        assert set(kinds) == {"gap", "status", "watch"}
        assert connection.scalar(text("SELECT count(DISTINCT state) FROM watches")) == 4
    archived = circle.go(lambda _: None)
    assert len(archived) == MONTHS and sum(one.groups for one in archived) > GROUPS / 2
