"""A dataclass for the values of which each entry makes several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value_class(cls: type[T]) -> type[T]:
    """Make `cls` a dataclass whose fields are never set again; mypy checks that, as with `frozen=True`.

    At runtime nothing checks it: a frozen dataclass sets each of its fields through `object.__setattr__`, and
    takes four times as long to build.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
