"""The recorder's database as a destination, to which the command `recorder watch` writes in its own process.

The user's program would otherwise have to import a database library and to hold connections.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from recorder.sdk.courier import UndeliverableError
from recorder.sdk.spool import Record, lines_of

DATABASE_SCHEMES = {"sqlite", "sqlite+pysqlite", "postgresql", "postgres", "postgresql+psycopg"}
COMMAND_TIMEOUT_SECONDS = 60.0
_FILE = "created.ndjson"
_COMPLAINT = re.compile("Error: (.*)")
_BAD_LINE = re.compile(rf"\S*{re.escape(_FILE)}, line (\d+): (.*)")
_RELATIVE = re.compile("(sqlite(?:\\+pysqlite)?:///)(?!/)(.+)")

_log = logging.getLogger("recorder.sdk")


class Database:
    """The database at `url`."""

    most_at_once = 1000
    last_words_seconds = 10.0
    """The command takes about a second to start."""

    def __init__(self, url: str) -> None:
        relative = _RELATIVE.fullmatch(url)
        self.name = url if relative is None else f"{relative[1]}{Path(relative[2]).absolute()}"

    def deliver(self, records: Sequence[Record]) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="recorder-sdk-") as folder:
                Path(folder, _FILE).write_bytes(lines_of(records))
                command = [sys.executable, "-P", "-m", "recorder", "watch", "--from-file", folder]
                ended = subprocess.run(  # noqa: S603 (this program)
                    command,
                    check=False,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    # Not in a folder of the user's: it could have a .env or modules of the same names.
                    cwd=folder,
                    env={**os.environ, "RECORDER_DATABASE_URL": self.name, "PYTHONUTF8": "1"},
                    timeout=COMMAND_TIMEOUT_SECONDS,
                    # Ctrl-C is for the user's program.
                    start_new_session=True,
                )
        except (OSError, subprocess.SubprocessError) as error:
            raise UndeliverableError(str(error)) from None
        _check(records, ended.returncode, ended.stderr.decode(errors="replace"))


def _check(records: Sequence[Record], status: int, printed: str) -> None:
    """Raise UndeliverableError unless the command took all records, or refused some of them for good."""
    complaints = [match[1] for line in printed.splitlines() if (match := _COMPLAINT.fullmatch(line))]
    refused = [match for text in complaints if (match := _BAD_LINE.fullmatch(text))]
    if len(refused) < len(complaints) or (status and not refused):
        others = [text for text in complaints if not _BAD_LINE.fullmatch(text)]
        lines = others or printed.strip().splitlines()[-1:]
        raise UndeliverableError(lines[-1][:300] if lines else f"the command ended with exit status {status}")
    for match in refused:
        record = records[int(match[1]) - 1]
        _log.error("the recorder refuses %s: %s", record.get("taskgroup_id"), match[2])
