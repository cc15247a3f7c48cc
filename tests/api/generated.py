"""A client that `openapi-python-client` makes of the API's document, as somebody else would make theirs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@dataclass(frozen=True, slots=True)
class Generated:
    """The package that was made of `document`."""

    package: str
    document: dict[str, Any]

    @property
    def models(self) -> ModuleType:
        """The types of the answers."""
        return import_module(f"{self.package}.models")

    @property
    def client(self) -> ModuleType:
        return import_module(f"{self.package}.client")

    @property
    def types(self) -> ModuleType:
        """What stands for a parameter that is not given, or a member that an answer leaves out."""
        return import_module(f"{self.package}.types")

    def operation(self, name: str) -> ModuleType:
        """The functions that ask the operation of the document with that name."""
        (tag,) = (found["tags"][0] for found in self.operations if found["operationId"] == name)
        snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
        return import_module(f"{self.package}.api.{tag}.{snake}")

    @property
    def operations(self) -> list[dict[str, Any]]:
        """What the document says of each operation."""
        return [found for item in self.document["paths"].values() for found in item.values()]


@contextmanager
def generated(document: dict[str, Any], package: str, folder: Path) -> Iterator[Generated]:
    """Make a client of a document: a package of that name, which can be imported while the block runs.

    The generator must have no reservations: what it cannot make sense of it leaves out, or calls Any.
    """
    (folder / "openapi.json").write_text(json.dumps(document), encoding="utf-8")
    (folder / "config.yml").write_text("post_hooks: []\n", encoding="utf-8")
    options = ["--path", "openapi.json", "--config", "config.yml", "--output-path", package]
    command = ["openapi_python_client", "generate", *options, "--meta", "none", "--fail-on-warning"]
    done = subprocess.run(
        [sys.executable, "-m", *command], check=False, capture_output=True, text=True, cwd=folder, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"Generating {package}\n", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        try:
            yield Generated(package, document)
        finally:
            for name in [name for name in sys.modules if name.partition(".")[0] == package]:
                del sys.modules[name]
