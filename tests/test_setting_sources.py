"""Values with what other programs put around them: quotes, line ends, a byte order mark."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recorder.settings import SettingsError
from recorder.settings_loading import load_settings

KEY = "pk-recognisable-7f3a91"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("RECORDER_", "PARALLEL_"))]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("around", ['"{}"', "'{}'", "{}\r", "{}\n", "  {} ", ' "{}"\r\n', '" {} "'])
def test_what_is_around_a_value_does_not_belong_to_it(monkeypatch: pytest.MonkeyPatch, around: str) -> None:
    values = {
        "PARALLEL_API_KEY": KEY,
        "PARALLEL_BASE_URL": "http://localhost:8010",
        "RECORDER_DATABASE_URL": "postgresql://ada@host/recorder",
        "RECORDER_API_TOKENS": f"ada:{'ab' * 32}",
        "RECORDER_API_PORT": "8001",
        "RECORDER_LOG_FORMAT": "json",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, around.format(value))
    settings = load_settings()
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == KEY
    assert settings.base_url == "http://localhost:8010"
    assert settings.write_url.host == "host"
    assert [token.name for token in settings.tokens] == ["ada"]
    assert (settings.api_port, settings.log_format) == (8001, "json")


@pytest.mark.parametrize("empty", ["", " ", '""', "''", "\r", '" "'])
def test_nothing_between_them_counts_as_not_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, empty: str
) -> None:
    tmp_path.joinpath(".env").write_text("RECORDER_RATE=7\n", "utf-8")
    monkeypatch.setenv("PARALLEL_API_KEY", empty)
    monkeypatch.setenv("RECORDER_RATE", empty)
    settings = load_settings()
    assert settings.api_key is None
    assert settings.rate == 7


@pytest.mark.parametrize("value", [f'"{KEY}', f"{KEY}'", "\N{LEFT DOUBLE QUOTATION MARK}key", '"'])
def test_an_odd_quote_is_a_bad_value_that_is_not_shown(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("PARALLEL_API_KEY", value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert "quotes" in str(raised.value)
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_an_env_file_made_on_windows(tmp_path: Path, encoding: str) -> None:
    tmp_path.joinpath(".env").write_bytes(
        f'RECORDER_RATE=7\r\nPARALLEL_API_KEY="{KEY}" \r\n'.encode(encoding)
    )
    settings = load_settings()
    assert settings.rate == 7
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == KEY


def test_an_env_file_in_utf_16(tmp_path: Path) -> None:
    tmp_path.joinpath(".env").write_text("RECORDER_RATE=7\n", "utf-16")
    with pytest.raises(SettingsError, match=r"\.env is not a text file in UTF-8"):
        load_settings()


def test_an_env_file_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tmp_path.joinpath(".env").write_text("RECORDER_RATE=7\n", "utf-8")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", ".env")

    monkeypatch.setattr("dotenv.main.open", refuse, raising=False)
    with pytest.raises(SettingsError, match=r"\.env cannot be read: Permission denied"):
        load_settings()


def test_a_folder_of_that_name_is_no_env_file(tmp_path: Path) -> None:
    tmp_path.joinpath(".env").mkdir()
    assert load_settings().rate == 20


def test_a_bad_value_is_told_with_the_file_that_it_is_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text("RECORDER_RATE=often\n", "utf-8")
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert str(raised.value).startswith(f"RECORDER_RATE in {file}: 'often'")
    monkeypatch.setenv("RECORDER_RATE", "seldom")
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert str(raised.value).startswith("RECORDER_RATE: 'seldom'")


def test_a_default_that_another_setting_makes_too_small_is_from_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath(".env").write_text("RECORDER_RATE=7\n", "utf-8")
    monkeypatch.setenv("RECORDER_REQUEST_TIMEOUT", "60")
    with pytest.raises(SettingsError, match=r"^RECORDER_LEASE: "):
        load_settings()
