"""Generate a client from the OpenAPI document with `openapi-python-client`, as a user would."""

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
class GeneratedClient:
    """The package generated from `document`."""

    package: str
    document: dict[str, Any]

    @property
    def models(self) -> ModuleType:
        """The types of responses."""
        return import_module(f"{self.package}.models")

    @property
    def client(self) -> ModuleType:
        return import_module(f"{self.package}.client")

    @property
    def types(self) -> ModuleType:
        """Contains `Unset`, the type of omitted parameters and members."""
        return import_module(f"{self.package}.types")

    def operation(self, name: str) -> ModuleType:
        """Return the module that calls an operation, given its ID in the document."""
        (tag,) = (each["tags"][0] for each in self.operations if each["operationId"] == name)
        snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
        return import_module(f"{self.package}.api.{tag}.{snake}")

    @property
    def operations(self) -> list[dict[str, Any]]:
        """The operations as the document describes them."""
        return [each for item in self.document["paths"].values() for each in item.values()]


@contextmanager
def generate_client(document: dict[str, Any], package: str, folder: Path) -> Iterator[GeneratedClient]:
    """Generate a client as a package named `package`, which can be imported during the block.

    Fails if the generator warns: it leaves out what it does not understand, or types it as Any.
    """
    (folder / "openapi.json").write_text(json.dumps(document), encoding="utf-8")
    (folder / "config.yml").write_text("post_hooks: []\n", encoding="utf-8")
    options = ["--path", "openapi.json", "--config", "config.yml", "--output-path", package]
    command = ["openapi_python_client", "generate", *options, "--meta", "none", "--fail-on-warning"]
    result = subprocess.run(
        [sys.executable, "-m", *command], check=False, capture_output=True, text=True, cwd=folder, timeout=120
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, f"Generating {package}\n", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        try:
            yield GeneratedClient(package, document)
        finally:
            for name in [name for name in sys.modules if name.partition(".")[0] == package]:
                del sys.modules[name]
