"""Checkpoint files written periodically: whole ones, and what has changed since."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from sqlalchemy import Engine

from recorder.audit.checkpoint_files import ChangedFileError, packed, read_checkpoint_file
from recorder.audit.checkpoints import CheckpointError, checkpoint_lines, read_heads
from recorder.audit.kept_checkpoints import (
    DAILY,
    KeptCheckpoint,
    drop_superseded,
    is_due,
    keep_checkpoint,
    newest_kept,
)
from recorder.store.transactions import reading
from tests.support.archives import archive, record_old
from tests.support.forker import Forker
from tests.support.postgres import free_port
from tests.support.program import Program
from tests.support.recording import Recording, active
from tests.support.store_samples import at, enrol

HOUR = timedelta(hours=1)
UNFOLD = Path(__file__).parents[2] / "docs/examples/unfold_checkpoint.py"


def whole(engine: Engine) -> bytes:
    with reading(engine) as connection:
        return b"".join(checkpoint_lines(read_heads(connection)))


def unfolded(path: Path) -> bytes:
    """What an auditor's own program makes of a file; it fails if the file was changed."""
    return subprocess.run([sys.executable, UNFOLD, path], capture_output=True, check=True).stdout


def record_three(engine: Engine) -> None:
    for number, group in enumerate(("tgrp_1", "tgrp_2", "tgrp ä")):
        Recording(engine).watch(group, number)
        Recording(engine).see(group, 10 + number, active(running=2))


def change(engine: Engine) -> None:
    """Write an entry of one group, see another one again, and enrol one that sorts before them."""
    Recording(engine).see("tgrp_1", 30, active(running=1))
    Recording(engine).see("tgrp_2", 31, active(running=2))
    Recording(engine).watch("a new one", 32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "kept"
    folder.mkdir()
    return folder


@pytest.fixture
def kept(engine: Engine, folder: Path) -> tuple[Path, Path]:
    """A base, and the changes of the hour after it."""
    base = keep_checkpoint(engine, folder, at(0.9))
    change(engine)
    changes = keep_checkpoint(engine, folder, at(3600))
    assert base is not None and changes is not None
    return base, changes


@pytest.mark.ledger(fill=record_three)
def test_the_first_checkpoint_is_whole_and_has_its_digest_beside_it(engine: Engine, folder: Path) -> None:
    path = keep_checkpoint(engine, folder, at(0.9))
    assert path == folder / "heads-20261124T120000Z.base.ndjson"
    assert path.read_bytes() == whole(engine)
    digest = hashlib.sha256(whole(engine)).hexdigest()
    beside = folder / f"{path.name}.sha256"
    assert beside.read_text() == f"{digest}  {path.name}\n"
    assert sorted(folder.iterdir()) == [path, beside]
    assert keep_checkpoint(engine, folder, at(0)) != path


@pytest.mark.ledger(fill=record_three)
def test_later_ones_have_what_changed_and_stand_for_the_whole(
    engine: Engine, kept: tuple[Path, Path]
) -> None:
    base, changes = kept
    assert changes.name == "heads-20261124T130000Z.changes.ndjson.gz"
    first, *lines, last = map(orjson.loads, gzip.decompress(changes.read_bytes()).splitlines())
    assert first == {
        "base": base.name,
        "base_digest": hashlib.sha256(base.read_bytes()).hexdigest(),
    }
    assert [line.get("taskgroup_id", line.get("line")) for line in lines] == ["a new one", "tgrp_1", 3]
    assert (lines[1]["seq"], lines[2]["polls"]) == (3, 2)
    assert last == {"digest": hashlib.sha256(whole(engine)).hexdigest(), "missing": []}
    assert unfolded(changes) == whole(engine)
    with reading(engine) as connection:
        assert list(read_checkpoint_file(changes).values()) == list(read_heads(connection))


@pytest.mark.ledger(fill=record_three)
def test_an_hour_without_changes_takes_two_lines(engine: Engine, folder: Path) -> None:
    keep_checkpoint(engine, folder, at(0))
    path = keep_checkpoint(engine, folder, at(3600))
    assert path is not None and len(gzip.decompress(path.read_bytes()).splitlines()) == 2
    assert unfolded(path) == whole(engine)


def test_groups_that_were_archived_since_the_base_are_left_out(
    engine: Engine, folder: Path, tmp_path: Path
) -> None:
    record_old(engine)
    keep_checkpoint(engine, folder, at(0))
    archive(engine, tmp_path / "old.ndjson.gz")
    path = keep_checkpoint(engine, folder, at(3600))
    assert path is not None
    assert unfolded(path) == whole(engine)
    assert len(read_checkpoint_file(path)) == len(whole(engine).splitlines())
    last = orjson.loads(gzip.decompress(path.read_bytes()).splitlines()[-1])
    assert len(last["missing"]) == 3


@pytest.mark.ledger(fill=record_three)
def test_a_day_later_the_next_one_is_whole_again(engine: Engine, kept: tuple[Path, Path]) -> None:
    folder = kept[0].parent
    names = []
    for hours in (23, 24, 25):
        path = keep_checkpoint(engine, folder, at(hours * 3600))
        assert path is not None
        names.append(path.name)
    assert names == [
        "heads-20261125T110000Z.changes.ndjson.gz",
        "heads-20261125T120000Z.base.ndjson",
        "heads-20261125T130000Z.changes.ndjson.gz",
    ]
    assert orjson.loads(gzip.decompress(path.read_bytes()).splitlines()[0])["base"] == names[1]


Tamper = Callable[[Path, Path], object]


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    path.with_name(f"{path.name}.sha256").unlink()


def _rewritten(path: Path, old: bytes, new: bytes) -> None:
    content = _content(path)
    assert old in content
    _write(path, content.replace(old, new, 1))


def _shortened(path: Path) -> None:
    _write(path, b"".join(_content(path).splitlines(keepends=True)[:-1]))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])
    path.with_name(f"{path.name}.sha256").unlink()


HARM: dict[str, tuple[Tamper, str]] = {
    "base changed": (lambda base, _: _rewritten(base, b'"seq":2', b'"seq":1'), "was changed"),
    "base changed, with its digest left": (
        lambda base, _: base.write_bytes(b""),
        "its digest is not the one in",
    ),
    "base of another time": (
        lambda base, changes: _rewritten(changes, base.name.encode(), changes.name.encode()),
        "is not the base",
    ),
    "base missing": (lambda base, _: base.unlink(), "is not beside it"),
    "base cut": (lambda base, _: _cut(base), "was changed"),
    "base without its last line": (lambda base, _: _shortened(base), "was changed"),
    "a head changed": (lambda _, changes: _rewritten(changes, b'"seq":3', b'"seq":2'), "another digest"),
    "an interval changed": (
        lambda _, changes: _rewritten(changes, b'"polls":2}', b'"polls":1}'),
        "another digest",
    ),
    "a line that the base lacks": (
        lambda _, changes: _rewritten(changes, b'"line":3', b'"line":9'),
        "does not fit",
    ),
    "a line before the first": (
        lambda _, changes: _rewritten(changes, b'"line":3', b'"line":0'),
        "does not fit",
    ),
    "changes cut": (lambda _, changes: _cut(changes), "unpacked as a whole"),
    "changes without their end": (lambda _, changes: _shortened(changes), "last line is missing"),
    "a group hidden": (
        lambda _, changes: _rewritten(changes, b'"missing":[]', '"missing":["tgrp ä"]'.encode()),
        "another digest",
    ),
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("harm", HARM)
@pytest.mark.ledger(fill=record_three)
def test_files_that_do_not_fit_are_refused(engine: Engine, kept: tuple[Path, Path], harm: str) -> None:
    tamper, words = HARM[harm]
    tamper(*kept)
    with pytest.raises(ChangedFileError, match=words):
        read_checkpoint_file(kept[1])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.ledger(fill=record_three)
def test_changes_without_their_first_line_are_no_checkpoint(engine: Engine, kept: tuple[Path, Path]) -> None:
    _, changes = kept
    content = gzip.decompress(changes.read_bytes()).splitlines(keepends=True)
    changes.write_bytes(packed(content[1:]))
    changes.with_name(f"{changes.name}.sha256").unlink()
    with pytest.raises(CheckpointError):
        read_checkpoint_file(changes)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.ledger(fill=record_three)
def test_a_base_that_was_spoilt_is_not_referred_to(engine: Engine, kept: tuple[Path, Path]) -> None:
    base, _ = kept
    base.write_bytes(b"spoilt")
    path = keep_checkpoint(engine, base.parent, at(7200))
    assert path is not None and path.name == "heads-20261124T140000Z.base.ndjson"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.ledger(fill=record_three)
def test_what_is_kept_verifies_and_tells_what_is_lost(
    engine: Engine, database_url: str, kept: tuple[Path, Path], tmp_path: Path, forker: Forker
) -> None:
    base, changes = kept
    program = Program(tmp_path, forker, {"RECORDER_DATABASE_URL": database_url})
    for option in ("--checkpoint", "--since"):
        assert "intact" in program.ok("verify", option, str(changes))
    base.unlink()
    complaint = program.run("verify", "--checkpoint", str(changes)).complaint()
    assert f"{changes}: its base {base.name} is not beside it" in complaint


def test_what_stays_of_the_kept_ones(folder: Path) -> None:
    first = at(0)
    plain = folder / "heads-20250101T000000Z.ndjson"
    plain.touch()
    for day in range(100):
        for hour, kind in ((0, "base.ndjson"), (6, "changes.ndjson.gz")):
            stamp = (first + timedelta(days=day, hours=hour)).strftime("%Y%m%dT%H%M%SZ")
            for suffix in ("", ".sha256"):
                (folder / f"heads-{stamp}.{kind}{suffix}").touch()
    drop_superseded(folder)
    left = sorted(path.name for path in folder.iterdir() if not path.name.endswith(".sha256"))
    bases = [name for name in left if "changes" not in name and name != plain.name]
    assert plain.name in left and len(list(folder.glob("*.sha256"))) == len(left) - 1
    assert len([name for name in left if "changes" in name]) == 3
    monthly = ["heads-20261124T120000Z", "heads-20261201T120000Z", "heads-20270101T120000Z"]
    assert [name.partition(".")[0] for name in bases[:-DAILY]] == monthly
    assert bases[-1].startswith("heads-20270303")
    assert drop_superseded(folder) == []


@pytest.mark.parametrize(("seconds", "due"), [(3599, False), (3600, True), (-60, False)])
def test_when_the_next_checkpoint_is_due(tmp_path: Path, seconds: float, due: bool) -> None:
    (tmp_path / "other.ndjson").touch()
    assert is_due(tmp_path, HOUR, at(0))
    (tmp_path / "heads-20261124T110000Z.ndjson").touch()
    (tmp_path / "heads-20261124T120000Z.changes.ndjson.gz").touch()
    assert is_due(tmp_path, HOUR, at(seconds)) is due


def test_the_newest_checkpoint_that_was_written_to_its_end(engine: Engine, tmp_path: Path) -> None:
    assert newest_kept(tmp_path, at(0)) is None
    recording = Recording(engine)
    for number in (1, 2):
        recording.watch(f"tgrp_{number}", 1)
        recording.see(f"tgrp_{number}", 10, active(running=1))
    keep_checkpoint(engine, tmp_path, at(0))
    recording.see("tgrp_1", 20, active(running=2))
    path = keep_checkpoint(engine, tmp_path, at(3600))
    assert path is not None
    # One that is being written, and one from before the clock was set back.
    (tmp_path / "heads-20261124T130001Z.ndjson").write_bytes(b'{"taskg')
    keep_checkpoint(engine, tmp_path, at(90_000))
    assert newest_kept(tmp_path, at(7200)) == KeptCheckpoint(path.name, at(3600), groups=2, entries=5)
    assert newest_kept(tmp_path, at(3599)) == KeptCheckpoint(
        "heads-20261124T120000Z.base.ndjson", at(0), groups=2, entries=4
    )
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ChangedFileError):
        newest_kept(tmp_path, at(7200))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.ledger(fill=record_three)
def test_a_system_without_nameless_files(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "O_TMPFILE")
    path = keep_checkpoint(engine, folder, at(0))
    assert path is not None and path.read_bytes() == whole(engine)


def test_an_unwritable_folder_is_an_error(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        keep_checkpoint(engine, tmp_path / "nowhere", at(0))


def test_a_running_recorder_writes_checkpoints(
    database_url: str, engine: Engine, folder: Path, tmp_path: Path, forker: Forker
) -> None:
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
    assert read_checkpoint_file(written).keys() == {"tgrp_1"}
    assert "intact" in program.ok("verify", "--checkpoint", str(written))
