"""What the commands share that say what is expected of a group: their options, and the words for it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import click

from recorder.cli.time_options import parse_duration
from recorder.ledger.entries import MOST_RUNS
from recorder.ledger.timestamps import parse_time

TAKEN_BACK = "none"
"""What the options of `recorder expect` take for: nothing is expected any more."""


class RunsType(click.ParamType[int]):
    """A number of runs."""

    name = "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number; anything else is wrong usage."""
        text = str(value)
        runs = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(MOST_RUNS)) else 0
        if not 1 <= runs <= MOST_RUNS:
            self.fail(f"{text[:80]!a} is not a whole number from 1 to {MOST_RUNS}", param, ctx)
        return runs


class ByType(click.ParamType[datetime | timedelta]):
    """A time, or how long from now it is."""

    name = "TIME|DURATION"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime | timedelta:
        """Return the time or the duration; anything else is wrong usage."""
        text = str(value)
        try:
            duration = parse_duration(text)
            return parse_time(text) if duration is None else duration
        except (ValueError, OverflowError):
            self.fail(
                f"{text[:80]!a} is neither an RFC 3339 time with an offset, such as 2026-11-24T12:16:00Z, "
                "nor a duration from now: seconds, or a number with s, m, h or d, such as 90m",
                param,
                ctx,
            )


class OrNothing(click.ParamType[Any]):
    """What another type takes, or `none`."""

    def __init__(self, kind: click.ParamType[Any]) -> None:
        self.name = f"{kind.name}|{TAKEN_BACK}"
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return `none` itself, otherwise what the other type makes of the value."""
        return value if value == TAKEN_BACK else self._kind.convert(value, param, ctx)


def time_meant(by: datetime | timedelta, now: datetime, option: str) -> datetime:
    """Return the time that the option `option` means; a line on standard error says if that has passed.

    Raises:
        UsageError: the time is too far ahead.
    """
    try:
        meant = now + by if isinstance(by, timedelta) else by
    except OverflowError:
        raise click.UsageError(f"{option}: this is later than the year 9999") from None
    if meant <= now:
        click.echo(f"Note: {option}: this time has passed", err=True)
    return meant
