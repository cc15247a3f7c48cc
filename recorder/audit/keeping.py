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


def keep_checkpoint(engine: Engine, folder: Path, now: datetime) -> Path:
    """Write a checkpoint into `folder`, with its digest beside it; return its path.

    Raises:
        OSError: it cannot be written; nothing is there under its name.
        DatabaseUnavailableError: the database cannot be read just now.
    """
    path = folder / now.astimezone(UTC).strftime(_NAME)
    digest = sha256()
    part = path.with_name(f".{path.name}.part")
    with reading(engine) as connection, closing(read_heads(connection)) as heads, part.open("wb") as file:
        for line in checkpoint_lines(heads):
            digest.update(line)
            file.write(line)
        file.flush()
        os.fsync(file.fileno())
    path.with_name(f"{path.name}.sha256").write_text(f"{digest.hexdigest()}  {path.name}\n", encoding="ascii")
    part.replace(path)
    return path


def _time_of(path: Path) -> datetime | None:
    try:
        return datetime.strptime(path.name, _NAME).replace(tzinfo=UTC)
    except ValueError:
        return None
