"""Reading the settings, and what is said about values that are not allowed."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from recorder.setting_names import names_in_file
from recorder.settings import Settings, SettingsError
from recorder.settings_sources import hint

# Lines of .env that it cannot parse are told by `misspelt_settings`, once and with the file's path.
logging.getLogger("dotenv.main").disabled = True

_DATABASE_SETTINGS = {"database_url", "database_pooler"}
_API_SETTINGS = {"api_tokens", "api_host", "api_port", "api_cors_origins", "api_timeout"}
_READER_SETTINGS = {"read_database_url", "cohort_key"}

ALL_SETTINGS = frozenset(Settings.model_fields)
RECORDING = (ALL_SETTINGS - _API_SETTINGS - _READER_SETTINGS) | {"cohort_key"}
"""What `recorder run` uses."""
_RULES_SETTINGS = {"poll_interval", "gap_grace", "gone_after", "retire_after"}
ENROLLING = _DATABASE_SETTINGS | _RULES_SETTINGS | {"actor"}
"""What `recorder watch` and the like use."""
BACKFILLING = ENROLLING | {"api_key", "base_url", "upstream_prefix", "request_timeout", "max_body"}
"""What `recorder backfill` uses."""
SERVING = _API_SETTINGS | _READER_SETTINGS | _DATABASE_SETTINGS | _RULES_SETTINGS | {"rate", "log_format"}
"""What `recorder serve` uses."""


def load_settings(needed: Collection[str] = ALL_SETTINGS) -> Settings:
    """Read the settings from the environment and from `.env` in the working folder.

    A value that is not allowed is an error at once if it is of a setting in `needed`, otherwise only when it
    is used: another program's variable must not stop a command that has nothing to do with it.

    Raises:
        SettingsError: a needed setting is invalid, or `.env` cannot be read.
    """
    settings, complaints = _read()
    if not complaints.keys() & {"lease", "request_timeout"} and settings.lease <= settings.least_lease:
        complaints["lease"] = _line("lease", f"{settings.lease:g}")
    lines = [line for name, line in complaints.items() if name in needed]
    if lines:
        raise SettingsError("\n".join(lines))
    return settings.without(complaints)


def _read() -> tuple[Settings, dict[str, str]]:
    """Return the settings, with defaults for those that are not allowed, and a line about each of these."""
    complaints: dict[str, str] = {}
    replaced: dict[str, Any] = {}
    while True:
        try:
            with _readable_file():
                return Settings(**replaced), complaints
        except ValidationError as error:
            found = dict(map(_complaint, error.errors(include_url=False)))
            # What is not allowed only because of the defaults is no complaint.
            complaints = complaints or found
            replaced |= {str(Settings.model_fields[name].alias): _default(name) for name in found}


@contextmanager
def _readable_file() -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError:
        raise SettingsError(f"{_file()} is not a text file in UTF-8") from None
    except OSError as error:
        raise SettingsError(f"{_file()} cannot be read: {error.strerror or error}") from None


def _default(name: str) -> Any:
    return Settings.model_fields[name].get_default(call_default_factory=True)


def settings_table() -> list[tuple[str, Any, str]]:
    """Return the name and default of each setting, and what is allowed."""
    return [
        (str(field.alias), "user@host" if field.default_factory else field.default, str(field.description))
        for field in Settings.model_fields.values()
    ]


_SECRET = {
    "PARALLEL_API_KEY",
    "RECORDER_API_TOKENS",
    "RECORDER_DATABASE_URL",
    "RECORDER_READ_DATABASE_URL",
}
"""Settings whose value may contain a secret, so that error messages must not repeat it."""


def _complaint(detail: ErrorDetails) -> tuple[str, str]:
    """Return the name of the field that an error is about, and a line for people."""
    place = detail["loc"][0]
    name = next(name for name, field in Settings.model_fields.items() if place in (name, field.alias))
    return name, _line(name, str(detail["input"]))


def _line(name: str, value: str) -> str:
    field = Settings.model_fields[name]
    secret = field.alias in _SECRET or "@" in value
    shown = "" if secret else f" {value[:80]!a}"
    return (
        f"{field.alias}{_place(name)}:{shown}{hint(value) or ' is not allowed;'} allowed: {field.description}"
    )


def _place(name: str) -> str:
    """Name the file that a setting's value is from, if it is from the file."""
    alias = str(Settings.model_fields[name].alias)
    of_file = names_in_file() - {given.upper() for given, value in os.environ.items() if value.strip()}
    return f" in {_file()}" if alias in of_file else ""


def _file() -> Path:
    return Path(".env").absolute()
