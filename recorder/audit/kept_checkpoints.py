"""Checkpoints that a recorder keeps in a folder: a whole one a day, and in between what has changed since.

The newest checkpoints stay all, older ones as one a day, and then one a month: an old checkpoint is there to
show when something was changed, and the newer ones prove all that it does of what still stands.
"""

from __future__ import annotations

import os
import re
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Engine

from recorder.audit.checkpoint_files import (
    ChangedFileError,
    changed_lines,
    lines_of_file,
    packed,
    read_checkpoint_file,
)
from recorder.audit.checkpoints import CheckpointError, checkpoint_lines, read_checkpoint, read_heads
from recorder.audit.file_sums import sum_line, sum_path
from recorder.audit.folder_sync import sync_folder
from recorder.store.transactions import reading

BASE_AGE = timedelta(days=1)
"""How old a base may be for further changes to refer to it."""
WITH_CHANGES = 3
"""Of how many bases, the newest ones, the changes stay: at least of the last two days."""
DAILY = 35
"""How many bases stay, the newest ones, before only the first of each month does."""

_STAMP = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"heads-(\d{8}T\d{6}Z)(\.base\.ndjson|\.changes\.ndjson\.gz|\.ndjson)", re.ASCII)
_BASE, _CHANGES = ".base.ndjson", ".changes.ndjson.gz"


def is_due(folder: Path, interval: timedelta, now: datetime) -> bool:
    """Whether the newest checkpoint in `folder` is older than `interval`, or missing.

    A checkpoint with a time in the future, as after the clock was set back, does not count.
    """
    made = [made for path in folder.iterdir() if (made := _time_of(path)) is not None and made <= now]
    return not made or now - max(made) >= interval


def keep_checkpoint(engine: Engine, folder: Path, now: datetime) -> Path | None:
    """Write a checkpoint into `folder`, then its digest beside it, and return its path.

    It is whole if there is no valid base of the last day. Returns None if another process has written one in
    the same second. Files appear complete, and are never changed or renamed.

    Raises:
        OSError: the checkpoint cannot be written.
        BrokenHeadError: a ledger does not end as its watch row says.
        DatabaseUnavailableError: the database cannot be read.
    """
    found = _base_for(folder, now)
    kind = _BASE if found is None else _CHANGES
    path = folder / f"heads-{now.astimezone(UTC).strftime(_STAMP)}{kind}"
    with reading(engine) as connection, closing(read_heads(connection)) as heads:
        if found is None:
            content = b"".join(checkpoint_lines(heads))
        else:
            content = packed(changed_lines(found[1], found[0].name, heads))
    try:
        _write_new(path, content)
    except FileExistsError:
        return None
    _write_new(sum_path(path), sum_line(sha256(content).hexdigest(), path.name))
    return path


@dataclass(frozen=True, slots=True)
class KeptCheckpoint:
    """A checkpoint in a folder: the name of its file, when it was made, and what its lines say."""

    file: str
    made_at: datetime
    groups: int
    entries: int


def newest_kept(folder: Path, now: datetime) -> KeptCheckpoint | None:
    """Return the newest checkpoint in `folder` that was written to its end, None if there is none yet.

    As in `is_due`, one with a time in the future does not count.

    Raises:
        OSError: the folder or the file cannot be read.
        ChangedFileError, CheckpointError: the file is not the checkpoint that was written.
    """
    made = {path: time for path in folder.iterdir() if (time := _time_of(path)) is not None and time <= now}
    written = [path for path in made if sum_path(path).exists()]
    if not written:
        return None
    path = max(written, key=lambda path: (made[path], path.name))
    state = path.stat()
    groups, seqs = _extent_of(path, state.st_mtime_ns, state.st_size)
    return KeptCheckpoint(path.name, made[path], groups, seqs)


@lru_cache(maxsize=4)
def _extent_of(path: Path, _modified: int, _size: int) -> tuple[int, int]:
    """Return how many groups and entries a checkpoint is about; it is read again only once it has changed."""
    heads = read_checkpoint_file(path)
    return len(heads), sum(head.seq for head in heads.values())


def drop_superseded(folder: Path) -> list[Path]:
    """Remove the checkpoints that need not stay, with their digests, and return them.

    Which ones is decided by their order, not by the clock. Whole ones that are no bases are never removed.
    Where the folder takes files and gives none back, all of them stay.
    """
    stamped = sorted(filter(_time_of, folder.iterdir()), key=lambda path: path.name)
    bases = [path for path in stamped if _is_base(path)]
    months = {path.name[: len("heads-YYYYMM")]: path for path in reversed(bases)}
    stay = {*bases[-DAILY:], *months.values()}
    since = bases[-WITH_CHANGES:][0].name if bases else ""
    dropped = []
    for path in stamped:
        is_change = path.name.endswith(_CHANGES)
        if (is_change and path.name < since) or (_is_base(path) and path not in stay):
            try:
                path.unlink()
            except FileNotFoundError:
                continue
            except OSError:
                break
            dropped.append(path)
            with suppress(OSError):
                sum_path(path).unlink()
    return dropped


def _base_for(folder: Path, now: datetime) -> tuple[Path, list[bytes]] | None:
    """Return the newest base that changes may refer to, with its lines."""
    for path in sorted(filter(_is_base, folder.iterdir()), key=lambda path: path.name, reverse=True):
        made = _time_of(path)
        if made is None or made > now:
            continue
        if now - made >= BASE_AGE:
            return None
        with suppress(OSError, ChangedFileError, CheckpointError):
            lines = lines_of_file(path)
            read_checkpoint(lines)
            return path, lines
    return None


def _is_base(path: Path) -> bool:
    found = _NAME.fullmatch(path.name)
    return found is not None and found[2] == _BASE


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that appears complete, or at least fails if there is one already."""
    for file_of in (_nameless, _named):
        try:
            file_of(path, content)
        except FileExistsError:
            raise
        except OSError:
            if file_of is _named:
                raise
        else:
            break
    sync_folder(path.parent)


def _nameless(path: Path, content: bytes) -> None:
    """Give the file its name once it is complete; only some systems and file systems can."""
    if not hasattr(os, "O_TMPFILE"):
        raise OSError("files without a name are for Linux alone")
    descriptor = os.open(path.parent, os.O_WRONLY | os.O_TMPFILE, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        os.link(f"/proc/self/fd/{descriptor}", path, follow_symlinks=True)


def _named(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _time_of(path: Path) -> datetime | None:
    found = _NAME.fullmatch(path.name)
    try:
        return None if found is None else datetime.strptime(found[1], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
