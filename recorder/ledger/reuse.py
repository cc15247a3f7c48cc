"""Reuse of what was computed last: the entries of a group mostly share one object of metadata."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def reuse_last(function: Callable[[T], R]) -> Callable[[T], R]:
    """Return a function that does not compute again what it returned last, if it is called with the same
    object. `function` must be pure, and nobody may change the object, such as a parsed JSON value."""
    last: tuple[T, R] | None = None

    @wraps(function)
    def reusing(argument: T) -> R:
        nonlocal last
        known = last
        if known is not None and known[0] is argument:
            return known[1]
        result = function(argument)
        last = (argument, result)
        return result

    return reusing
