"""The messages on the page about troubleshooting are messages of the program."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.pages import ROOT, page

_JOINT = re.compile(r'"\s*\n\s*f?"')
_PLACE = re.compile(r"\{[^{}]*\}")


def _source() -> str:
    """Return the program's text with the parts of each message joined, and its values as ellipses."""
    files = (path for folder in ("recorder", "api") for path in sorted((ROOT / folder).rglob("*.py")))
    return _PLACE.sub("…", _JOINT.sub("", "\n".join(path.read_text("utf-8") for path in files)))


SOURCE = _source()
MESSAGES = [
    message
    for line in page("docs/troubleshooting.md").splitlines()
    if line.startswith("|")
    for message in re.findall(r"`([^`]+)`", line.split("|")[1])
]


@pytest.mark.parametrize("message", MESSAGES)
def test_it_is_a_message_of_the_program(message: str) -> None:
    fragments = [part.strip(" '") for part in message.split("…")]
    assert all(part in SOURCE for part in fragments if part), fragments


_ERRORS = {"ClickException", "SchemaError", "ArchiveError", "ExportError", "ImportRefusedError"}
_ERRORS |= {"CheckpointError", "SettingsError", "DatabaseUnavailableError", "UnknownGroupError"}
_LEAST_LETTERS = 12
"""Shorter parts of a message are not enough to know it by."""


def _text(node: ast.expr) -> str:
    """Return the text of an expression, with an ellipsis for what is known only when it runs."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    return "…"


def _raised() -> set[str]:
    """Return the messages of the errors with which commands end, but for those of wrong usage."""
    found = set()
    for path in (ROOT / "recorder").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                name = node.exc.func.attr if isinstance(node.exc.func, ast.Attribute) else node.exc.func
                if (name if isinstance(name, str) else ast.unparse(name)) in _ERRORS:
                    found.add(_text(node.exc.args[0]))
    return {text for text in found if any(len(part) >= _LEAST_LETTERS for part in text.split("…"))}


@pytest.mark.parametrize("text", sorted(_raised()))
def test_an_error_of_a_command_is_on_the_page(text: str) -> None:
    parts = {part.strip(" ':;") for message in MESSAGES for part in message.split("…")}
    assert any(part in text for part in parts if len(part) >= _LEAST_LETTERS), text
