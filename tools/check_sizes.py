"""Checks that modules and functions stay small enough to have one subject."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 50
FOLDERS = ("recorder", "api", "migrations", "tools")


def complaints(path: Path) -> list[str]:
    """Return what is too long in one file."""
    source = path.read_text(encoding="utf-8")
    lines = source.count("\n")
    found = [f"{path}: {lines} lines, at most {MAX_MODULE_LINES}"] if lines > MAX_MODULE_LINES else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                place = f"{path}:{node.lineno}: {node.name}"
                found.append(f"{place} has {length} lines, at most {MAX_FUNCTION_LINES}")
    return found


def main() -> int:
    found = [
        complaint
        for folder in FOLDERS
        for path in sorted(Path(folder).rglob("*.py"))
        for complaint in complaints(path)
    ]
    sys.stdout.write("".join(f"{line}\n" for line in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
