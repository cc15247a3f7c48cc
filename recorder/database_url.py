"""The address of the database as text. This loads quickly, unlike all settings."""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

DATABASE_URL = "RECORDER_DATABASE_URL"
DEFAULT_DATABASE_URL = "sqlite:///recorder.db"
QUOTES = "\"'"
_KEY_DIGITS = 16


def database_url_text() -> str:
    """Return the database's address from the environment or from `.env`, unchecked."""
    given = _found(dict(os.environ))
    if given is None and Path(".env").is_file():
        from dotenv import dotenv_values  # noqa: PLC0415 - seldom needed

        # If it cannot be read, loading the settings says so.
        with suppress(OSError, UnicodeDecodeError):
            given = _found(dotenv_values(".env", encoding="utf-8-sig"))
    return DEFAULT_DATABASE_URL if given is None else given


def tidied(value: str) -> str:
    """Return a setting's value without white space and one pair of quotes around it."""
    value = value.strip()
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in QUOTES
    return value[1:-1].strip() if quoted else value


def database_key(url: str) -> str:
    """Return a short name for a database that does not tell its address, which may hold a password."""
    scheme, _, place = url.partition("://")
    if scheme.startswith("sqlite"):
        place = os.path.realpath(place.removeprefix("/"))
    else:
        place = place.partition("?")[0].rpartition("@")[2]
    return sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:_KEY_DIGITS]


def _found(settings: dict[str, str | None] | dict[str, str]) -> str | None:
    texts = (tidied(text) for name, text in settings.items() if name.upper() == DATABASE_URL and text)
    return next((text for text in texts if text), None)
