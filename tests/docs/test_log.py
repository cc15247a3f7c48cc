"""The page on the log lists every line that the program writes, with its level and its fields."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.support.pages import ROOT, page, plain, rows, section

LEVELS = {"info": "info", "warning": "warning", "error": "error", "exception": "error"}
OF_THE_LIBRARY = {"exc_info"}
"""Makes structlog add the field `exception`."""
FROM_VARIABLES = {
    "entry.content.action.value": {"gone", "resumed", "retired"},
    "event": {"ended while the database was unavailable", "ended before the database responded"},
}
"""The events that an expression other than a text stands for."""

Line = tuple[str, str]
"""A level and an event."""


def calls() -> Iterator[ast.Call]:
    """Yield the calls that write a line of the log."""
    for folder in (ROOT / "recorder", ROOT / "api"):
        for path in folder.rglob("*.py"):
            source = path.read_text("utf-8")
            if "structlog" not in source:
                continue
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    logger = ast.unparse(node.func.value)
                    if logger == "_log" or logger.startswith("structlog.get_logger("):
                        yield node


def events(call: ast.Call) -> set[str]:
    event = call.args[0]
    if isinstance(event, ast.Constant):
        return {str(event.value)}
    if isinstance(event, ast.JoinedStr):
        return {"".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in event.values)}
    return FROM_VARIABLES[ast.unparse(event)]


def written() -> dict[Line, list[tuple[set[str], bool]]]:
    """The named fields of the calls that write each line, and whether a call adds more fields."""
    found: dict[Line, list[tuple[set[str], bool]]] = {}
    for call in calls():
        assert isinstance(call.func, ast.Attribute)
        names = {word.arg for word in call.keywords if word.arg} - OF_THE_LIBRARY
        has_more = any(word.arg is None for word in call.keywords)
        for event in events(call):
            found.setdefault((LEVELS[call.func.attr], event), []).append((names, has_more))
    return found


def documented() -> dict[Line, set[str]]:
    found = {}
    for heading in ("The recorder", "The API"):
        for level, event, fields, _ in rows(section(page("docs/reference/log.md"), heading)):
            line = level, plain(event)
            found[line] = {plain(name) for name in fields.split(", ")} - {""} | found.get(line, set())
    return found


def test_every_line_is_listed_with_its_level() -> None:
    assert documented().keys() == written().keys()


def test_every_field_is_listed() -> None:
    listed = documented()
    for line, its_calls in written().items():
        named = set().union(*(names for names, _ in its_calls))
        more = listed[line] - named
        assert named <= listed[line], line
        assert bool(more) == any(has_more for _, has_more in its_calls), line


def test_the_fields_are_explained() -> None:
    explained = {
        plain(name)
        for row in rows(section(page("docs/reference/log.md"), "Fields"))
        for name in row[0].split(", ")
    }
    used = set().union(*documented().values())
    assert used <= explained
    assert explained - used == {"event", "exception", "level", "timestamp"}
