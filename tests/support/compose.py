"""docker-compose.yml read as Docker would read it, so that its services can run natively."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]

_VARIABLE = re.compile(r"\$\{(\w+)(?::([?-])([^}]*))?\}")


class MissingValueError(Exception):
    """A variable that the file requires is not set."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service; `entrypoint` is None if the image's own applies."""

    name: str
    entrypoint: list[str] | None
    command: list[str]
    environment: dict[str, str]
    healthcheck: list[str]
    members: dict[str, Any]

    @property
    def argv(self) -> list[str]:
        """The command in the container; the image's entrypoint is `recorder`."""
        return [*(["recorder"] if self.entrypoint is None else self.entrypoint), *self.command]


def services(values: dict[str, str], override: str | None = None) -> dict[str, Service]:
    """Read the file, substituting `values` for its variables, and the environments of an `override`.

    Raises:
        MissingValueError: if a required variable is not set.
    """
    raw = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    if override is not None:
        more = yaml.safe_load((ROOT / override).read_text(encoding="utf-8"))
        for name, members in more["services"].items():
            assert members.keys() == {"environment"}
            raw["services"][name]["environment"] |= members["environment"]
    document = _filled_in(raw, values)
    return {name: _service(name, members) for name, members in document["services"].items()}


def variables() -> set[str]:
    """The variables that the file requires."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    return {name for name, kind, _ in _VARIABLE.findall(text) if kind == "?"}


def secrets_in(text: str) -> list[str]:
    """Values in the position of a secret that are not required variables."""
    members = re.findall(r"^\s*\w*(?:PASSWORD|KEY|TOKENS?): *(.*)$", text, re.MULTILINE)
    passwords = re.findall(r"://[^/@\s]*:([^/@\s]*)@", text)
    return [found for found in members + passwords if not re.fullmatch(r"\$\{\w+:\?[^}]+\}", found)]


def _service(name: str, members: dict[str, Any]) -> Service:
    health = members.get("healthcheck", {}).get("test", ["CMD"])
    assert health[0] == "CMD"
    return Service(
        name=name,
        entrypoint=members.get("entrypoint"),
        command=members.get("command", []),
        environment=members.get("environment", {}),
        healthcheck=health[1:],
        members=members,
    )


def _filled_in(value: Any, values: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled_in(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled_in(item, values) for item in value]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        if values.get(name):
            return values[name]
        if kind == "-":
            return str(rest)
        raise MissingValueError(name)

    return _VARIABLE.sub(fill, value)
