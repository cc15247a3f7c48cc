"""Checks that a public name has one meaning: no two modules of the program define the same one."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

FOLDERS = ("recorder", "api")
BY_CONVENTION = {"T", "TAG", "blueprint", "command"}
"""Names that mean the same thing in each module of a kind: a type variable, and what a package collects."""


def public_names(path: Path) -> Iterator[str]:
    """Yield the public names that a module defines at its top level."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
        else:
            continue
        yield from (name for name in names if not name.startswith("_") and name not in BY_CONVENTION)


def main() -> int:
    modules: defaultdict[str, list[Path]] = defaultdict(list)
    for folder in FOLDERS:
        for path in sorted(Path(folder).rglob("*.py")):
            for name in set(public_names(path)):
                modules[name].append(path)
    repeated = {name: paths for name, paths in sorted(modules.items()) if len(paths) > 1}
    sys.stdout.write(
        "".join(f"{name} is defined in {', '.join(map(str, paths))}\n" for name, paths in repeated.items())
    )
    return 1 if repeated else 0


if __name__ == "__main__":
    sys.exit(main())
