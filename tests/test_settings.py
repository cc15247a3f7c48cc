"""The settings by themselves: what is allowed, what is said of the rest, and that secrets stay secret."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from recorder.settings import Settings, SettingsError
from recorder.settings_loading import load_settings, settings_table
from recorder.tokens import Token

KEY = "pk-recognisable-7f3a91"
PASSWORD = "pw-recognisable-c04b52"
DIGEST = "ab" * 32

DEFAULTS = {
    "PARALLEL_API_KEY": None,
    "PARALLEL_BASE_URL": "https://api.parallel.ai",
    "RECORDER_UPSTREAM_PREFIX": "/v1beta",
    "RECORDER_DATABASE_URL": "sqlite:///recorder.db",
    "RECORDER_DATABASE_POOLER": None,
    "RECORDER_READ_DATABASE_URL": None,
    "RECORDER_POLL_INTERVAL": 10,
    "RECORDER_MAX_INTERVAL": 60,
    "RECORDER_SETTLED_INTERVAL": 300,
    "RECORDER_RETIRE_AFTER": 604800,
    "RECORDER_STALL_AFTER": 1800,
    "RECORDER_GONE_AFTER": 900,
    "RECORDER_GAP_GRACE": 30,
    "RECORDER_LEASE": 30,
    "RECORDER_RATE": 20,
    "RECORDER_CONCURRENCY": 50,
    "RECORDER_REQUEST_TIMEOUT": 10,
    "RECORDER_MAX_BODY": 1048576,
    "RECORDER_API_TOKENS": None,
    "RECORDER_API_HOST": "127.0.0.1",
    "RECORDER_API_PORT": 8000,
    "RECORDER_METRICS_PORT": None,
    "RECORDER_API_CORS_ORIGINS": None,
    "RECORDER_API_TIMEOUT": 10,
    "RECORDER_COHORT_KEY": None,
    "RECORDER_CHECKPOINT_DIR": None,
    "RECORDER_CHECKPOINT_INTERVAL": 3600,
    "RECORDER_NOTIFY_FILE": None,
    "RECORDER_ENROL_DIR": None,
    "RECORDER_ARCHIVE_AFTER": 0,
    "RECORDER_ARCHIVE_DIR": None,
    "RECORDER_LOG_FORMAT": "console",
}

SECONDS = [
    "RECORDER_POLL_INTERVAL",
    "RECORDER_MAX_INTERVAL",
    "RECORDER_SETTLED_INTERVAL",
    "RECORDER_GONE_AFTER",
    "RECORDER_GAP_GRACE",
    "RECORDER_REQUEST_TIMEOUT",
    "RECORDER_LEASE",
    "RECORDER_RATE",
    "RECORDER_API_TIMEOUT",
    "RECORDER_CHECKPOINT_INTERVAL",
]
WHOLE = ["RECORDER_CONCURRENCY", "RECORDER_MAX_BODY", "RECORDER_API_PORT", "RECORDER_METRICS_PORT"]

BAD = [
    *((name, value) for name in SECONDS for value in ("soon", "0", "-1", "inf", "nan", "1e400", "1,5")),
    *((name, value) for name in WHOLE for value in ("many", "0", "-1", "1.5", "inf", "99999999999")),
    *(
        ("RECORDER_API_CORS_ORIGINS", value)
        for value in ("*", "example.org", "https://a/b", "https://a, b", "null", "https://a?x=1")
    ),
    ("RECORDER_CHECKPOINT_DIR", "/nowhere/at/all"),
    *(("RECORDER_RETIRE_AFTER", value) for value in ("never", "-1", "inf", "nan")),
    *(
        ("PARALLEL_BASE_URL", value)
        for value in (
            *("api.parallel.ai", "ftp://api.parallel.ai", "http://", "https://:443", "http://[::1"),
            *(
                "http://host:port",
                "http://host:99999",
                "http://a host",
                "http://host/?key=1",
                "http://host/#top",
            ),
        )
    ),
    *(("RECORDER_UPSTREAM_PREFIX", value) for value in ("v1", "/v1?x=1", "/v 1", "/v1#", "http://host/v1")),
    *(
        ("RECORDER_API_HOST", value)
        for value in ("0.0.0.0", "::", "192.168.1.1", "example.org", "127.0.0.1:80", "[::1]")
    ),
    *(("RECORDER_LOG_FORMAT", value) for value in ("xml", "JSON")),
    *(("RECORDER_ACTOR", value) for value in ("two\nlines", "\x1b[2Jada", "a" * 256)),
]

BAD_DATABASES = [
    "recorder.db",
    "mysql://ada@host/recorder",
    f"oracle://ada:{PASSWORD}@host/recorder",
    "sqlite://",
    "sqlite:///:memory:",
    "sqlite:///file::memory:?uri=true",
    "sqlite:///file:recorder?mode=memory&uri=true",
    f"sqlite://ada:{PASSWORD}@host/recorder.db",
    "sqlite:///recorder.db?timeout=long",
    f"postgresql://ada:{PASSWORD}@host:port/recorder",
]


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [*DEFAULTS, "RECORDER_ACTOR"]:
        monkeypatch.delenv(name, raising=False)


def _complaints(monkeypatch: pytest.MonkeyPatch, **values: str) -> list[str]:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    return str(raised.value).splitlines()


def test_defaults() -> None:
    settings = load_settings()
    given = {str(field.alias): getattr(settings, name) for name, field in Settings.model_fields.items()}
    actor = given.pop("RECORDER_ACTOR")
    assert actor.endswith(f"@{socket.gethostname()}")
    assert not actor.startswith("@")
    assert given == DEFAULTS


def test_every_setting_has_a_name_and_says_what_is_allowed() -> None:
    for field in Settings.model_fields.values():
        assert field.alias
        assert field.alias.startswith(("RECORDER_", "PARALLEL_"))
        assert field.description


def test_the_table_lists_every_setting() -> None:
    table = {name: (default, allowed) for name, default, allowed in settings_table()}
    assert set(table) == {*DEFAULTS, "RECORDER_ACTOR"}
    assert {name: table[name][0] for name in DEFAULTS} == DEFAULTS
    assert all(allowed for _, allowed in table.values())


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("RECORDER_POLL_INTERVAL", "0.25", 0.25),
        ("RECORDER_RETIRE_AFTER", "0", 0),
        ("RECORDER_CONCURRENCY", "1", 1),
        ("RECORDER_API_HOST", "::1", "::1"),
        ("RECORDER_API_HOST", "localhost", "localhost"),
        ("RECORDER_API_HOST", "127.1.2.3", "127.1.2.3"),
        ("RECORDER_UPSTREAM_PREFIX", "/v1/", "/v1"),
        ("PARALLEL_BASE_URL", "http://localhost:8010/", "http://localhost:8010"),
        ("PARALLEL_BASE_URL", "https://proxy.example/parallel", "https://proxy.example/parallel"),
        ("RECORDER_ACTOR", "Zoë from ops", "Zoë from ops"),
        ("RECORDER_POLL_INTERVAL", "", 10),
    ],
)
def test_allowed_values(monkeypatch: pytest.MonkeyPatch, name: str, value: str, read: object) -> None:
    monkeypatch.setenv(name, value)
    settings = load_settings()
    field = next(attribute for attribute, field in Settings.model_fields.items() if field.alias == name)
    assert getattr(settings, field) == read


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_named_with_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    (line,) = _complaints(monkeypatch, **{name: value})
    allowed = next(allowed for known, _, allowed in settings_table() if known == name)
    assert line.startswith(f"{name}: ")
    assert line.endswith(f"allowed: {allowed}")
    assert f"{value[:80]!a}" in line


@pytest.mark.parametrize("name", ["RECORDER_DATABASE_URL", "RECORDER_READ_DATABASE_URL"])
@pytest.mark.parametrize("url", BAD_DATABASES)
def test_a_bad_database_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str
) -> None:
    (line,) = _complaints(monkeypatch, **{name: url})
    assert line.startswith(f"{name}: ")
    assert PASSWORD not in line


@pytest.mark.parametrize(
    "tokens",
    [
        PASSWORD,
        f"ada:{PASSWORD}",
        f"ada:{DIGEST}0",
        f"ada:{DIGEST};bob:{DIGEST}",
        f"ada:{DIGEST},",
        f"ada:{DIGEST},ada:{'cd' * 32}",
        f"two words:{DIGEST}",
    ],
)
def test_bad_tokens_are_named_without_their_values(monkeypatch: pytest.MonkeyPatch, tokens: str) -> None:
    (line,) = _complaints(monkeypatch, RECORDER_API_TOKENS=tokens, RECORDER_API_HOST="0.0.0.0")
    assert line.startswith("RECORDER_API_TOKENS: ")
    assert "name:sha256hex" in line and "recorder token NAME" in line
    assert PASSWORD not in line and DIGEST not in line and "ada" not in line


def test_tokens_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().tokens == ()
    monkeypatch.setenv("RECORDER_API_TOKENS", f" ada:{DIGEST} , bob.2:{DIGEST.upper()}")
    assert load_settings().tokens == (Token("ada", DIGEST), Token("bob.2", DIGEST))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "127.0.0.1"])
def test_with_tokens_any_address_may_be_served(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("RECORDER_API_TOKENS", f"ada:{DIGEST}")
    monkeypatch.setenv("RECORDER_API_HOST", host)
    assert load_settings().api_host == host


def test_with_tokens_a_name_is_still_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = _complaints(monkeypatch, RECORDER_API_TOKENS=f"ada:{DIGEST}", RECORDER_API_HOST="example.org")
    assert line.startswith("RECORDER_API_HOST: ")


@pytest.mark.parametrize("key", ["two words", "schlüssel", "tab\tkey", f"{KEY}\n{KEY}"])
def test_a_bad_key_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    (line,) = _complaints(monkeypatch, PARALLEL_API_KEY=key)
    assert line.startswith("PARALLEL_API_KEY: ")
    assert key.strip() not in line


def test_a_value_is_not_called_outside_a_range_that_it_is_in(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = _complaints(monkeypatch, RECORDER_GONE_AFTER="1e12")
    assert not line.endswith("seconds, more than 0")


def test_a_password_in_the_upstreams_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = _complaints(monkeypatch, PARALLEL_BASE_URL=f"ftp://ada:{PASSWORD}@host")
    assert PASSWORD not in "".join(lines)


@pytest.mark.parametrize("lease", ["12", "5"])
def test_a_lease_must_outlast_a_request(monkeypatch: pytest.MonkeyPatch, lease: str) -> None:
    (line,) = _complaints(monkeypatch, RECORDER_LEASE=lease)
    assert line.startswith("RECORDER_LEASE: ")
    assert lease in line
    assert "RECORDER_REQUEST_TIMEOUT + 2" in line


def test_a_request_timeout_beyond_the_lease_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = _complaints(monkeypatch, RECORDER_REQUEST_TIMEOUT="28")
    assert "RECORDER_LEASE" in line
    assert "RECORDER_REQUEST_TIMEOUT" in line


def test_several_bad_values_have_a_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = _complaints(
        monkeypatch,
        RECORDER_RATE="0",
        RECORDER_API_PORT="http",
        RECORDER_LEASE="1",
        RECORDER_LOG_FORMAT="xml",
    )
    assert sorted(line.partition(":")[0] for line in lines) == [
        "RECORDER_API_PORT",
        "RECORDER_LEASE",
        "RECORDER_LOG_FORMAT",
        "RECORDER_RATE",
    ]


def test_an_env_file_is_read_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tmp_path.joinpath(".env").write_text(
        "# ours\nRECORDER_POLL_INTERVAL=7\nRECORDER_RATE=3\nSOMETHING_ELSE=1\n", "utf-8"
    )
    monkeypatch.setenv("RECORDER_RATE", "4")
    settings = load_settings()
    assert (settings.poll_interval, settings.rate) == (7, 4)


def test_an_env_file_that_is_no_text_is_a_bad_setting(tmp_path: Path) -> None:
    tmp_path.joinpath(".env").write_bytes(b"RECORDER_RATE=\xff\n")
    with pytest.raises(SettingsError, match=r"\.env"):
        load_settings()


def test_secrets_are_in_no_picture_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"postgresql://ada:{PASSWORD}@host/recorder"
    monkeypatch.setenv("PARALLEL_API_KEY", KEY)
    monkeypatch.setenv("RECORDER_DATABASE_URL", url)
    monkeypatch.setenv("RECORDER_READ_DATABASE_URL", url)
    monkeypatch.setenv("RECORDER_API_TOKENS", f"ada:{DIGEST}")
    settings = load_settings()
    picture = f"{settings!r} {settings} {settings.write_url!r} {settings.read_url!r}"
    assert KEY not in picture
    assert PASSWORD not in picture
    assert DIGEST not in picture
    assert settings.write_url.password == PASSWORD


def test_settings_cannot_be_changed() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError):
        settings.rate = 1  # type: ignore[misc]


@pytest.mark.parametrize(("grace", "interval", "window"), [("30", "10", 30), ("1", "60", 60)])
def test_a_gap_opens_after_the_longer_of_grace_and_interval(
    monkeypatch: pytest.MonkeyPatch, grace: str, interval: str, window: int
) -> None:
    monkeypatch.setenv("RECORDER_GAP_GRACE", grace)
    monkeypatch.setenv("RECORDER_POLL_INTERVAL", interval)
    assert load_settings().rules.gap_window == timedelta(seconds=window)


def test_readers_take_the_replica_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().read_url == load_settings().write_url
    monkeypatch.setenv("RECORDER_READ_DATABASE_URL", "postgresql://replica/recorder")
    assert load_settings().read_url.host == "replica"
    assert load_settings().write_url.database == "recorder.db"
