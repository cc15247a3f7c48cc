"""Misspelt names of settings: which are noticed, and which are other programs' own."""

from __future__ import annotations

import pytest

from recorder.setting_names import misspelt_names
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
    "MY_RECORDER_POLL_INTERVALL": "1",
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_names_are_left_alone(name: str) -> None:
    assert misspelt_names({name: OTHERS[name]}, KNOWN) == {}
