"""Misspelt names of settings: which are noticed, and which are other programs' own."""

from __future__ import annotations

from pathlib import Path

import pytest

from recorder.setting_names import misspelt_names, misspelt_settings
from recorder.settings import Settings
from tests.support.compose import variables

KNOWN = [str(field.alias) for field in Settings.model_fields.values()]

MISSPELT = {
    "RECORDER_POLL_INTERVALL": "RECORDER_POLL_INTERVAL",
    "RECORDER_POLLINTERVAL": "RECORDER_POLL_INTERVAL",
    "recorder_databse_url": "RECORDER_DATABASE_URL",
    "RECORDER_DB_URL": "RECORDER_DATABASE_URL",
    "RECORDER_PORT": "RECORDER_API_PORT",
    "PARALLEL_APIKEY": "PARALLEL_API_KEY",
    "PARALLEL_KEY": "PARALLEL_API_KEY",
    "PARALLEL_URL": "PARALLEL_BASE_URL",
    "PARALEL_API_KEY": "PARALLEL_API_KEY",
    "RECODER_DATABASE_URL": "RECORDER_DATABASE_URL",
}


@pytest.mark.parametrize(("name", "meant"), MISSPELT.items())
def test_a_similar_name_is_meant(name: str, meant: str) -> None:
    assert misspelt_names({name: "1"}, KNOWN) == {name: meant}


OTHERS = {
    **dict.fromkeys([*KNOWN, *sorted(variables())], "1"),
    "parallel_api_key": "1",
    "PARALLEL_API_URL": "https://api.example.com",
    "PARALLEL_SEQ": "1",
    "RECORDER_COLOUR": "blue",
    "RECORDER_PORT": "tcp://10.0.0.1:8000",
    "RECORDER_PORT_8000_TCP": "tcp://10.0.0.1:8000",
    "RECORDER_PORT_8000_TCP_ADDR": "10.0.0.1",
    "RECORDER_SERVICE_HOST": "10.0.0.1",
    "RECORDER_SERVICE_PORT": "8000",
    "RECORDER_API_SERVICE_HOST": "10.0.0.1",
    "RECORDER_API_PORT_8000_TCP_ADDR": "10.0.0.1",
    "MY_RECORDER_POLL_INTERVALL": "1",
    "PARALLELS_HOME": "1",
    "RECORDING_API_PORT": "1",
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_names_are_left_alone(name: str) -> None:
    assert misspelt_names({name: OTHERS[name]}, KNOWN) == {}


def test_a_line_of_the_file_that_is_no_setting_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / ".env"
    file.write_text("RECORDER_RATE=5\n  poll often\nexport RECORDER_LEASE='40'\n\n# RECORDER_X y\n")
    assert misspelt_settings() == [f"{file}, line 2, is not NAME=value and is ignored"]
