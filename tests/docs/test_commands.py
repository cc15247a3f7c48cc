"""The commands, options, make targets and settings that the pages mention exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.settings import Settings
from tests.support.commands import COMMANDS
from tests.support.compose import variables
from tests.support.pages import PAGES, ROOT, blocks, page

TARGETS = set(re.findall(r"^([a-z-]+):", page("Makefile"), re.MULTILINE))
SETTINGS = {str(field.alias) for field in Settings.model_fields.values()}
GROUPS = {"db", "notify"}
"""Commands that have subcommands."""
OTHER_PROGRAMS = {
    *(
        "alembic",
        "cp",
        "curl",
        "docker",
        "eval",
        "export",
        "kubectl",
        "litestream",
        "mkdir",
        "openapi-python-client",
        "pip",
        "pg_basebackup",
        "pg_restore",
        "psql",
        "python",
        "python3",
        "sqlite3",
    ),
    *("pipx", "systemctl", "systemd-run", "useradd", "uv"),
}
"""Programs of others that the pages may use."""
OF_OTHERS = {"PARALLEL_API_URL"}
"""Settings of such programs."""


def _shell_lines() -> Iterator[str]:
    for path in PAGES:
        for block in blocks(path.read_text(encoding="utf-8")):
            if block.language == "sh":
                yield from block.code.splitlines()


def _in_prose(text: str, start: str) -> list[str]:
    return re.findall(rf"`({start} [^`\n]*)`", text)


@pytest.mark.parametrize("line", list(_shell_lines()))
def test_shell_lines(line: str) -> None:
    words = [word for word in shlex.split(line) if not re.match("[A-Z_]+=", word)]
    if not words:
        return
    program, *arguments = words
    if program == "make":
        assert arguments[0] in TARGETS
    elif program == "recorder":
        _check_command(arguments)
    else:
        assert Path(program).name in OTHER_PROGRAMS


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_prose(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for command in _in_prose(text, "make"):
        assert shlex.split(command)[1] in TARGETS, command
    for command in _in_prose(text, "recorder"):
        _check_command(shlex.split(command)[1:])


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_settings_in_prose(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"\b(?:RECORDER|PARALLEL)_[A-Z_]+", text)) <= SETTINGS | variables() | OF_OTHERS


def _check_command(arguments: list[str]) -> None:
    """Check that the command exists and has these options."""
    if arguments == ["--version"]:
        return
    length = 2 if arguments[0] in GROUPS else 1
    name = " ".join(["recorder", *arguments[:length]])
    if name.removeprefix("recorder ") in GROUPS:
        return
    assert name in COMMANDS, name
    known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    options = {word for word in arguments[length:] if word.startswith("--")}
    assert options <= known, name
