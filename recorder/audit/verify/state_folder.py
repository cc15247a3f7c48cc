"""Where the program keeps small files of its own between runs."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path


def state_folder(key: str) -> Path:
    """Return the folder for `key`, below `$XDG_STATE_HOME` or `~/.local/state`; it may not exist yet."""
    # `recorder.sdk.spool` says the same, as it may import nothing of ours.
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    base = state if state.is_absolute() else Path.home() / ".local" / "state"
    return base / "task-group-recorder" / sha256(key.encode()).hexdigest()[:16]
