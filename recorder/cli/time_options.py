"""The types of options that take a time or a duration."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import click

from recorder.ledger.timestamps import parse_time

_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)([smhd]?)", re.ASCII)
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> timedelta | None:
    """Return a duration: seconds, or a number with s, m, h or d; None if the text is none.

    Raises:
        OverflowError: it is too long.
    """
    found = _DURATION.fullmatch(text)
    return None if found is None else timedelta(seconds=float(found[1]) * _UNITS[found[2]])


class DurationType(click.ParamType[timedelta]):
    """A duration."""

    name = "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the duration; anything else is wrong usage."""
        try:
            found = parse_duration(str(value))
        except OverflowError:
            found = None
        if found is None:
            self.fail(
                f"{str(value)[:80]!a} is not a duration: seconds, or a number with s, m, h or d, such as 90d",
                param,
                ctx,
            )
        return found


class TimeType(click.ParamType[datetime]):
    """A time."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the time; anything else is wrong usage."""
        if isinstance(value, datetime):
            return value
        try:
            return parse_time(str(value))
        except (ValueError, OverflowError):
            self.fail(
                f"{str(value)[:80]!a} is not an RFC 3339 time with an offset, such as 2026-11-24T12:16:00Z",
                param,
                ctx,
            )
