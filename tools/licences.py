"""Print the licence of every package that the program needs to run, as the packages themselves declare it."""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

PINNED = Path(__file__).parents[1] / "requirements" / "runtime.txt"
_CLASSIFIER = "License :: OSI Approved :: "
_LONGEST = 60


def main() -> None:
    unknown = []
    # A package can be pinned in several versions, each for some versions of Python.
    pinned = re.findall(r"^([A-Za-z0-9._-]+)==", PINNED.read_text(encoding="utf-8"), re.MULTILINE)
    for name in dict.fromkeys(pinned):
        try:
            found = metadata(name)
        except PackageNotFoundError:
            # Pinned for another system or version of Python.
            continue
        classifiers = [text for text in found.get_all("Classifier", []) if text.startswith(_CLASSIFIER)]
        declared = found.get("License-Expression") or found.get("License") or ""
        licence = " and ".join(text.removeprefix(_CLASSIFIER) for text in classifiers) or declared
        line = (declared if found.get("License-Expression") else licence).splitlines() or ["unknown"]
        print(f"{name:30} {found['Version']:14} {line[0][:_LONGEST]}")  # noqa: T201 - its purpose
        if line == ["unknown"]:
            unknown.append(name)
    sys.exit(f"no licence is declared by: {', '.join(unknown)}" if unknown else 0)


if __name__ == "__main__":
    main()
