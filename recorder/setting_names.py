"""Misspelt names of settings, and lines of `.env` that are no settings: what would be ignored in silence."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from recorder.settings import Settings

if TYPE_CHECKING:
    from dotenv.parser import Binding

_OURS = ("RECORDER_", "PARALLEL_")
_OF_OTHERS = {"PARALLEL_API_URL", "RECORDER_DB_PASSWORD"}
"""Names that resemble ours: parallel-cli reads the first, our docker-compose.yml the second."""
_OF_SERVICE = re.compile(r"_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP|SCTP)(_|$)")
"""Names that Kubernetes sets for a Service, which may well be called `recorder` or `recorder-api`."""
_SIMILARITY = 0.65
_PREFIX_SIMILARITY = 0.85


def misspelt_names(given: Mapping[str, str | None], known: Collection[str]) -> dict[str, str]:
    """Return the names in `given` that are probably meant to be one of `known`, each with that one."""
    found: dict[str, str] = {}
    for name, value in given.items():
        upper = name.upper()
        if upper not in known and upper not in _OF_OTHERS and not _is_of_service(upper, value):
            meant = next(filter(None, (_meant(prefix, upper, known) for prefix in _OURS)), None)
            found |= {} if meant is None else {name: meant}
    return found


def _meant(prefix: str, name: str, known: Iterable[str]) -> str | None:
    """Return the known name with `prefix` that `name` resembles or is the end of."""
    start, _, rest = name.partition("_")
    if not get_close_matches(f"{start}_", [prefix], cutoff=_PREFIX_SIMILARITY):
        return None
    ends = [one.removeprefix(prefix) for one in known if one.startswith(prefix)]
    close = get_close_matches(rest, ends, n=1, cutoff=_SIMILARITY)
    close = close or [end for end in ends if end.endswith(f"_{rest}")]
    return f"{prefix}{close[0]}" if close else None


def misspelt_settings() -> list[str]:
    """Return a line about each misspelt name in the environment and in `.env`."""
    known = [str(field.alias) for field in Settings.model_fields.values()]
    found = misspelt_names(given_values(), known)
    return [
        *_unreadable_lines(),
        *(f"{name} is not a setting and is ignored; did you mean {meant}?" for name, meant in found.items()),
    ]


def _is_of_service(name: str, value: str | None) -> bool:
    """Whether Kubernetes sets this variable for a Service."""
    return _OF_SERVICE.search(name) is not None or (value is not None and value.startswith("tcp://"))


def given_values() -> dict[str, str | None]:
    """Return the variables of the environment and those of `.env`, by name."""
    return {**_in_file(), **os.environ}


def _in_file() -> dict[str, str | None]:
    return {line.key: line.value for line in _lines_of_file() if line.key is not None}


def names_in_file() -> set[str]:
    """Return the names that `.env` gives values to, in capitals."""
    return set(map(str.upper, _in_file()))


def _unreadable_lines() -> list[str]:
    place = Path(".env").absolute()
    return [
        f"{place}, line {line.original.line}, is not NAME=value and is ignored"
        for line in _lines_of_file()
        if line.error
    ]


def _lines_of_file() -> list[Binding]:
    from dotenv.parser import parse_stream  # noqa: PLC0415 - seldom needed

    # If the file cannot be read, loading the settings says so.
    with suppress(OSError, UnicodeDecodeError), Path(".env").open(encoding="utf-8-sig") as file:
        return list(parse_stream(file))
    return []
