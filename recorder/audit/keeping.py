"""Writing checkpoints into a folder, one by one as time goes by."""

from __future__ import annotations

import os
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Engine

from recorder.audit.checkpoints import checkpoint_lines, read_heads
from recorder.store.transactions import reading

_NAME = "heads-%Y%m%dT%H%M%SZ.ndjson"


def is_due(folder: Path, interval: timedelta, now: datetime) -> bool:
    """Whether the newest checkpoint in `folder` is older than `interval`, or there is none.

    One that lies in the future, as after a clock was set back, does not count.
    """
    made = [made for made in map(_time_of, folder.iterdir()) if made is not None and made <= now]
    return not made or now - max(made) >= interval


def keep_checkpoint(engine: Engine, folder: Path, now: datetime) -> Path | None:
    """Write a checkpoint into `folder`, and its digest beside it once it is whole; return its path.

    None if somebody else has written one of the same second. Nothing is renamed or written again, so that
    the folder may be one that can only be added to.

    Raises:
        OSError: it cannot be written.
        BrokenHeadError: a ledger does not end as its watch row says; nothing can be attested.
        DatabaseUnavailableError: the database cannot be read just now.
    """
    path = folder / now.astimezone(UTC).strftime(_NAME)
    with reading(engine) as connection, closing(read_heads(connection)) as heads:
        lines = b"".join(checkpoint_lines(heads))
    try:
        _write_new(path, lines)
    except FileExistsError:
        return None
    words = f"{sha256(lines).hexdigest()}  {path.name}\n"
    _write_new(path.with_name(f"{path.name}.sha256"), words.encode())
    return path


def _write_new(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _time_of(path: Path) -> datetime | None:
    try:
        return datetime.strptime(path.name, _NAME).replace(tzinfo=UTC)
    except ValueError:
        return None
