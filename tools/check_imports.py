"""Checks that tests share code through tests/support alone: none imports another test or a conftest."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

FOLDERS = ("tests", "benchmarks")


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line number and the full name of everything that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def is_test(module: str) -> bool:
    package, *names = module.split(".")
    return package == "tests" and any(name == "conftest" or name.startswith("test_") for name in names)


def main() -> int:
    found = [
        f"{path}:{line}: imports {module}; move what both need to tests/support"
        for folder in FOLDERS
        for path in sorted(Path(folder).rglob("*.py"))
        for line, module in imported_modules(path)
        if is_test(module)
    ]
    sys.stdout.write("".join(f"{line}\n" for line in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
