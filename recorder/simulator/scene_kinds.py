"""Kinds of scenes: what a scene does, in one line and as a function, and the parameters it takes. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

_Act = TypeVar("_Act")

ParameterValues = Mapping[str, Any]
"""The values of a scene's parameters by name."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its default, a description of the allowed values, and the check for them."""

    default: object
    allowed: str
    accepts: Callable[[object], bool]


@dataclass(frozen=True, slots=True)
class SceneKind(Generic[_Act]):
    """`does` completes the sentence "a request that meets it ...", or "the body ..." for an alteration."""

    does: str
    act: _Act
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def values(self, given: ParameterValues) -> dict[str, Any]:
        """Return the value of every parameter: the given one, or else its default."""
        return {name: given.get(name, parameter.default) for name, parameter in self.parameters.items()}


class SceneKinds(dict[str, SceneKind[_Act]]):
    """Kinds of scenes by name."""

    def add(self, does: str, **parameters: Parameter) -> Callable[[_Act], _Act]:
        """Return a decorator that registers a function as the kind of the same name."""

        def register(act: _Act) -> _Act:
            self[act.__name__] = SceneKind(does, act, parameters)  # type: ignore[attr-defined]
            return act

        return register


def whole_number(default: int, low: int, high: int) -> Parameter:
    """A whole number within a range."""
    return Parameter(
        default,
        f"a whole number from {low} to {high}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
    )


def number(default: float | None, low: float, high: float) -> Parameter:
    """A number within a range."""
    return Parameter(
        default,
        f"a number from {low:.15g} to {high:.15g}",
        lambda value: is_number(value) and low <= value <= high,  # type: ignore[operator]
    )


def text(default: str) -> Parameter:
    """A string that is not empty."""
    return Parameter(default, "a non-empty string", lambda value: isinstance(value, str) and bool(value))


def header_value() -> Parameter:
    """The value of a header, as a string or a number; without it the header is not sent."""
    return Parameter(None, "a number or a string of printable ASCII characters", _fits_a_header)


def is_number(value: object) -> bool:
    """Whether a value is a finite number; booleans are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _fits_a_header(value: object) -> bool:
    return is_number(value) or (isinstance(value, str) and value.isascii() and value.isprintable())


DELAYS: Mapping[str, SceneKind[None]] = {
    "slow": SceneKind("gets its response after a delay of `seconds`", None, {"seconds": number(1, 0, 3600)})
}
"""Delays combine with every other kind of scene; those of several scenes add up."""
