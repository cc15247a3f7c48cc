"""The result of a check."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """What was found about a `subject`; if it is not `fine`, the text says what to do."""

    subject: str
    fine: bool
    text: str
