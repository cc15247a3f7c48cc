"""A wall clock that a test can set for one process with libfaketime; monotonic clocks stay real."""

from __future__ import annotations

from pathlib import Path

_LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1")

_REAL_MONOTONIC = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}


def ahead_by(seconds: int) -> dict[str, str]:
    """Return the settings of processes whose wall clock is `seconds` ahead."""
    return {"LD_PRELOAD": str(_library()), "FAKETIME": f"{seconds:+d}", **_REAL_MONOTONIC}


class FakeTime:
    """The wall clock of the processes that are started with `settings`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "faketime"
        self.set_offset(0)

    @property
    def settings(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            **_REAL_MONOTONIC,
        }

    def set_offset(self, seconds: int) -> None:
        fresh = self._file.with_suffix(".fresh")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.replace(self._file)


def _library() -> Path:
    root = Path("/")
    for pattern in _LIBRARIES:
        for found in root.glob(pattern.removeprefix("/")):
            return found
    raise RuntimeError("the tests need libfaketime: apt-get install faketime")
