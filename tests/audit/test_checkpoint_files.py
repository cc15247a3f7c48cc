"""Checkpoint files written periodically."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from recorder.audit.checkpoints import checkpoint_lines, is_due, keep_checkpoint, read_checkpoint, read_heads
from recorder.store.transactions import reading
from tests.support.forker import Forker
from tests.support.postgres import free_port
from tests.support.program import Program
from tests.support.store_samples import at, body, enrol, poll, seen

HOUR = timedelta(hours=1)


def test_a_checkpoint_is_written_with_its_digest(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    enrol(engine, "tgrp_1")
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 1))
    path = keep_checkpoint(engine, folder, at(0.9))
    assert path == folder / "heads-20261124T120000Z.ndjson"
    with reading(engine) as connection:
        heads = list(read_heads(connection))
    assert path.read_bytes() == b"".join(checkpoint_lines(heads))
    assert read_checkpoint(path.read_bytes().splitlines()) == {"tgrp_1": heads[0]}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    beside = folder / "heads-20261124T120000Z.ndjson.sha256"
    assert beside.read_text() == f"{digest}  {path.name}\n"
    assert sorted(folder.iterdir()) == [path, beside]


@pytest.mark.parametrize(("seconds", "due"), [(3599, False), (3600, True), (-60, False)])
def test_when_the_next_checkpoint_is_due(tmp_path: Path, seconds: float, due: bool) -> None:
    (tmp_path / "other.ndjson").touch()
    assert is_due(tmp_path, HOUR, at(0))
    (tmp_path / "heads-20261124T110000Z.ndjson").touch()
    (tmp_path / "heads-20261124T120000Z.ndjson").touch()
    assert is_due(tmp_path, HOUR, at(seconds)) is due


def test_an_unwritable_folder_is_an_error(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        keep_checkpoint(engine, tmp_path / "nowhere", at(0))


def test_a_running_recorder_writes_checkpoints(
    database_url: str, engine: Engine, tmp_path: Path, forker: Forker
) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    enrol(engine, "tgrp_1")
    program = Program(tmp_path, forker).using(
        PARALLEL_API_KEY="k",
        PARALLEL_BASE_URL=f"http://127.0.0.1:{free_port()}",
        RECORDER_DATABASE_URL=database_url,
        RECORDER_CHECKPOINT_DIR=str(folder),
        RECORDER_CHECKPOINT_INTERVAL="3600",
    )
    with program.start("run") as running:
        running.wait_for("checkpoint written")
        assert running.stop() == 0
    (written,) = folder.glob("*.ndjson")
    assert read_checkpoint(written.read_bytes().splitlines()).keys() == {"tgrp_1"}
    assert "intact" in program.ok("verify", "--checkpoint", str(written))
