"""Every command's help ends with examples that run and settings that exist."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from recorder.cli.help_epilogs import EPILOGS
from recorder.settings import Settings
from tests.support.commands import COMMANDS

SETTINGS = {str(field.alias) for field in Settings.model_fields.values()}


def test_every_command_has_one() -> None:
    assert {f"recorder {name}" for name in EPILOGS} == set(COMMANDS)


@pytest.mark.parametrize("name", EPILOGS)
def test_the_examples_are_accepted(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("heads.ndjson", "ledger.ndjson"):
        tmp_path.joinpath(file).touch()
    command = COMMANDS[f"recorder {name}"]
    for example in EPILOGS[name].examples:
        _, _, ours = example.rpartition("| ")
        words = shlex.split(ours.partition(" && ")[0])
        length = 1 + len(name.split())
        assert " ".join(words[:length]) == f"recorder {name}"
        # Raises a usage error if an option or a value is not allowed.
        command.make_context(name, words[length:]).close()


@pytest.mark.parametrize("name", EPILOGS)
def test_the_settings_exist_and_are_shown(name: str) -> None:
    assert set(EPILOGS[name].settings) <= SETTINGS
    assert COMMANDS[f"recorder {name}"].epilog == EPILOGS[name].text()
