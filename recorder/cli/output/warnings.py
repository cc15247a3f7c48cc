"""Warnings about the recorders: none running, writes or polls failing, or a request rate that is too low."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from recorder.cli.output.console import plain
from recorder.cli.output.format import ago_text, count_text, show_time
from recorder.cli.output.recorder_table import failing_line
from recorder.queries.recorders import SHORT_OF, only_not_found
from recorder.store.heartbeats import Heartbeat
from recorder.store.missing import NotFoundGroups

_NONE = NotFoundGroups()
_TROUBLES = {
    "key_rejected": "the API key is rejected, polls pause except for one at a time",
    "not_found": "groups that were seen before are not found, which is its doing: none becomes gone",
}


def warnings(recorders: Sequence[Heartbeat], now: datetime, not_found: NotFoundGroups = _NONE) -> list[Text]:
    """Return a line for each problem, none if all is well; `not_found` are those of `not_found_groups`."""
    alive = [beat for beat in recorders if beat.is_alive(now)]
    if not alive:
        return [Text("no recorder is running; start one with: recorder up, or: recorder run", style="yellow")]
    lines = [line for beat in recorders if (line := failing_line(beat, now)) is not None]
    lines += [line for beat in alive for line in _lines(beat, now)]
    if not_found.count and not any(_missing_together(beat) for beat in alive):
        lines.append(not_found_line(not_found))
    # Recorders that share a problem report the same line.
    return list({line.plain: line for line in lines}.values())


def _lines(beat: Heartbeat, now: datetime) -> Iterator[Text]:
    upstream, rate = beat.report.get("upstream"), beat.report.get("rate")
    if upstream is not None and upstream["trouble"] is not None and not _is_about_groups(upstream):
        yield _upstream_line(upstream, now)
    if upstream is not None and upstream.get("prefix") is not None:
        yield Text(
            f"upstream: groups are found under {upstream['prefix']} alone, which polls take: "
            f"set RECORDER_UPSTREAM_PREFIX to it",
            style="yellow",
        )
    if rate is not None and rate["stretch"] > 1:
        yield Text(_stretch_text(rate), style="yellow")


def _stretch_text(rate: dict[str, Any]) -> str:
    limit = rate.get("limited_by") or "rate"
    allowed = f"RECORDER_RATE allows {rate['requests_per_second']:g}"
    if limit != "rate":
        allowed = f"{rate['capacity_per_second']:g} are possible, since {SHORT_OF[limit]}"
    return (
        f"{limit}: the groups need {rate['needed_per_second']:g} requests per second, but {allowed}: "
        f"all intervals are {rate['stretch']:.1f} times as long"
    )


def _is_about_groups(upstream: dict[str, Any]) -> bool:
    """Whether nothing but single groups that are not found is the trouble."""
    return upstream["state"] == "failing" and only_not_found(upstream["trouble"])


def _missing_together(beat: Heartbeat) -> bool:
    return (beat.report.get("upstream") or {}).get("state") == "not_found"


def not_found_line(not_found: NotFoundGroups) -> Text:
    """Return what to say about groups that the provider does not find, of which there are some."""
    groups = count_text(not_found.count, "group is", "groups are")
    line = Text(f"{groups} not found by the provider, which answers: ")
    line.append_text(plain(", ".join(not_found.first)))
    line.append(" and others" if not_found.count > len(not_found.first) else "")
    line.append("; check the ids, and whose key PARALLEL_API_KEY is")
    line.stylize("yellow")
    return line


def _upstream_line(upstream: dict[str, Any], now: datetime) -> Text:
    trouble = upstream["trouble"]
    last = trouble["last_failure"]
    failures = ", ".join(f"{count} {cause}" for cause, count in trouble["failures"].items())
    rejected = upstream["state"] == "key_rejected"
    what = _TROUBLES.get(upstream["state"], "polls are failing")
    since = f"since {show_time(trouble['since'])} ({ago_text(trouble['since'], now)})"
    line = Text(f"upstream: {what}, {since}: {failures}; {trouble['answers']} answered meanwhile; last: ")
    line.append_text(plain(last["detail"]))
    line.stylize("bold red" if rejected else "red")
    return line
