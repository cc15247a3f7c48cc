"""Outages: periods in which every retrieval of a group fails in the same way. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What a request meets during an outage."""

    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    RATE_LIMIT = "rate_limit"
    SERVER_ERROR = "server_error"
    BAD_GATEWAY = "bad_gateway"
    REFUSE = "refuse"
    HANG = "hang"
    CLOSE = "close"


FAULT_STATUS = {
    Fault.UNAUTHORIZED: 401,
    Fault.NOT_FOUND: 404,
    Fault.RATE_LIMIT: 429,
    Fault.SERVER_ERROR: 500,
    Fault.BAD_GATEWAY: 502,
    Fault.REFUSE: 503,
}
"""The HTTP status of each fault; `hang` and `close` send no response."""

_SPELLINGS = {str(status): fault for fault, status in FAULT_STATUS.items()} | {str(f): f for f in Fault}
_OUTAGE = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?):(\w+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Outage:
    """A fault from `start` (inclusive) to `end` (exclusive), in real seconds since the simulator started.

    Raises:
        ValueError: the end is not after the start, or the start is negative.
    """

    start: float
    end: float
    fault: Fault

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"an outage must end after it starts: {self.start:g}-{self.end:g}")


def parse_outage(text: str) -> Outage:
    """Parse `START-END:FAULT`, as in `20-26:503`, `30-40.5:hang` or `60-90:rate_limit`.

    The fault is given by name or by HTTP status.

    Raises:
        ValueError: the text does not describe an outage; the message describes the allowed form.
    """
    match = _OUTAGE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not an outage: {text!r}; expected START-END:FAULT in seconds, such as 20-26:503")
    start, end, spelling = match.groups()
    if spelling not in _SPELLINGS:
        raise ValueError(f"unknown fault {spelling!r}; expected one of {', '.join(_SPELLINGS)}")
    return Outage(float(start), float(end), _SPELLINGS[spelling])


def outage_at(outages: Iterable[Outage], seconds: float) -> Outage | None:
    """Return the outage at `seconds` since the start, or the first one listed if several overlap."""
    return next((outage for outage in outages if outage.start <= seconds < outage.end), None)
