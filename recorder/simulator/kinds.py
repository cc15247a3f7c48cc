"""What a scene can do: a line for people, the function that does it, and its parameters. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

_Act = TypeVar("_Act")

Values = Mapping[str, Any]
"""The values of a scene's parameters by their names."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its value unless a scene gives one, what is allowed in words, and the check for it."""

    default: object
    allowed: str
    accepts: Callable[[object], bool]


@dataclass(frozen=True, slots=True)
class GroupKind(Generic[_Act]):
    """`does` ends the sentence "a request that meets it ..."."""

    does: str
    act: _Act
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def values(self, given: Values) -> dict[str, Any]:
        """Return the value of every parameter: the given one, else its default."""
        return {name: given.get(name, parameter.default) for name, parameter in self.parameters.items()}


class GroupKinds(dict[str, GroupKind[_Act]]):
    """Kinds by their names, each filled in by its function's own name."""

    def add(self, does: str, **parameters: Parameter) -> Callable[[_Act], _Act]:
        """Return a decorator that adds a function as the kind of its name."""

        def added(act: _Act) -> _Act:
            self[act.__name__] = GroupKind(does, act, parameters)  # type: ignore[attr-defined]
            return act

        return added


def whole(default: int, low: int, high: int) -> Parameter:
    """A whole number in a range."""
    return Parameter(
        default,
        f"a whole number from {low} to {high}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
    )


def number(default: float | None, low: float, high: float) -> Parameter:
    """A number in a range."""
    return Parameter(
        default,
        f"a number from {low:.15g} to {high:.15g}",
        lambda value: is_number(value) and low <= value <= high,  # type: ignore[operator]
    )


def text(default: str) -> Parameter:
    """A text that is not empty."""
    return Parameter(
        default, "a text of at least one character", lambda value: isinstance(value, str) and bool(value)
    )


def header() -> Parameter:
    """What can be the value of a header, given as a text or a number; absent unless given."""
    return Parameter(None, "a number or a text of printable ASCII characters", _fits_a_header)


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _fits_a_header(value: object) -> bool:
    return is_number(value) or (isinstance(value, str) and value.isascii() and value.isprintable())
