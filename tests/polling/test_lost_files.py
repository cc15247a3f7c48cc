"""A database file that is deleted or replaced is noticed within a second, at the next look."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder.polling import lost_files
from recorder.store.engine import check_url


def _deleted(file: Path) -> None:
    file.unlink()


def _all_deleted(file: Path) -> None:
    for each in file.parent.glob(f"{file.name}*"):
        each.unlink()


def _moved_away(file: Path) -> None:
    file.rename(file.with_name("elsewhere.db"))


def _replaced(file: Path) -> None:
    other = Path(shutil.copy(file, file.with_name("other.db")))
    other.replace(file)


def _wal_deleted(file: Path) -> None:
    file.with_name(f"{file.name}-wal").unlink()


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (_deleted, "recorder.db was deleted or moved away"),
        (_all_deleted, "recorder.db was deleted or moved away"),
        (_moved_away, "recorder.db was deleted or moved away"),
        (_replaced, "recorder.db was replaced by another file"),
        (_wal_deleted, "recorder.db-wal was deleted or moved away"),
    ],
)
def test_it_is_noticed_within_a_second(
    tmp_path: Path,
    sqlite_template: Path,
    monkeypatch: pytest.MonkeyPatch,
    trouble: Callable[[Path], None],
    words: str,
) -> None:
    file = Path(shutil.copy(sqlite_template, tmp_path / "recorder.db"))
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        """Let the trouble come right after the second look, the worst time for it."""
        waits.append(seconds)
        if len(waits) == 2:
            trouble(file)

    monkeypatch.setattr(lost_files.asyncio, "sleep", sleep)
    lost = asyncio.run(lost_files.wait_until_lost(check_url(f"sqlite:///{file}")))
    assert lost.endswith(words)
    assert waits == [lost_files.FILES_SECONDS] * 2
    # Half a second is left for the look itself, on a busy machine.
    assert lost_files.FILES_SECONDS <= 0.5
