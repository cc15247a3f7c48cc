"""The completion of a group, worked out from the lines of its export with nothing of the recorder's.

Written from the documented definitions, for ledgers without clock steps. Times are microseconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import ceil
from typing import Any

Json = dict[str, Any]
FINAL = ("completed", "failed", "cancelled")
STATUSES = ("queued", "action_required", "running", *FINAL, "cancelling")
PHASES = ("active", "blocked", "empty", "settled", "unclear")
SHARES = (Fraction(1, 2), Fraction(9, 10), Fraction(95, 100), Fraction(99, 100), Fraction(1))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86400 * 10**6


@dataclass(frozen=True)
class Place:
    """A moment: the best guess, its bounds and what it is based on."""

    at: int
    earliest: int | None
    latest: int
    basis: str

    def members(self) -> Json:
        times = {"at": _text(self.at), "earliest": _text(self.earliest), "latest": _text(self.latest)}
        return {**times, "basis": self.basis}


@dataclass
class Sighting:
    """A status entry."""

    body: Json
    at: int
    asked: int
    seen: int
    polls: int
    is_another: bool

    def __post_init__(self) -> None:
        status = self.body["status"]
        said = status.get("task_run_status_counts")
        given = said if isinstance(said, dict) else {}
        self.counts = {name: _whole(given.get(name)) for name in STATUSES}
        self.ended = [self.counts[name] or 0 for name in FINAL]
        self.total = _whole(status.get("num_task_runs"))
        known = isinstance(said, dict) and all(_whole(given.get(name, 0)) is not None for name in FINAL)
        self.finished = sum(self.ended) if known else None
        self.modified, self.created = _micros(status.get("modified_at")), _micros(self.body.get("created_at"))
        self.phase = "unclear" if self.is_another else self._phase(status.get("is_active"), given)

    def _phase(self, is_active: Any, given: Json) -> str:
        if is_active is True:
            return "active"
        if (self.counts["action_required"] or 0) > 0:
            return "blocked"
        if self.total == 0 and not any((_whole(count) or 0) > 0 for count in given.values()):
            return "empty"
        done = self.total is not None and sum(self.ended) == self.total > 0
        return "settled" if is_active is False and done else "unclear"

    def window(self, asked_before: int | None) -> tuple[int | None, int, int | None]:
        """The earliest and the latest time of what this shows first, and the last update in between."""
        known = [] if asked_before is None else [asked_before]
        if self.created is not None and self.created <= self.at:
            known.append(self.created)
        earliest = max(known, default=None)
        modified = self.modified
        is_inside = (
            modified is not None and modified <= self.at and (earliest is None or earliest <= modified)
        )
        return earliest, self.at, modified if is_inside else None


@dataclass
class _Open:
    started: Place
    asked_before: int | None
    first_sight: bool
    before: list[int]
    polls: int = 0
    seen: list[Sighting] = field(default_factory=list)


def expected_completion(records: list[Json], last: Json | None) -> Json:
    """The episodes, where the time went, and the coverage; `last` is the newest status's interval if open."""
    sightings = _sightings(records, last)
    gaps = [
        (_time(each["gap"]["from"]), _time(each["gap"]["to"])) for each in records if each["kind"] == "gap"
    ]
    return {"episodes": _episodes(sightings, gaps), **_time_spent(records, sightings)}


def _sightings(records: list[Json], last: Json | None) -> list[Sighting]:
    found = []
    for record, follower in zip(records, [*records[1:], None], strict=True):
        interval = last if follower is None else follower["previous"]
        if record["kind"] == "status" and interval is not None:
            body = record["upstream"]
            asked, seen = _time(interval["last_asked_at"]), _time(interval["last_seen_at"])
            is_another = body.get("taskgroup_id") != record["taskgroup_id"]
            found.append(
                Sighting(body, _time(record["at"]), asked, seen, interval["polls"], is_another=is_another)
            )
    return found


def _episodes(sightings: list[Sighting], gaps: list[tuple[int, int]]) -> list[Json]:
    done: list[Json] = []
    current: _Open | None = None
    last: Sighting | None = None
    before, newest, modified = [0, 0, 0], None, None
    for now in sightings:
        comparable = now.modified if now.modified is not None and now.modified <= now.at + _DAY else None
        is_older = _below(now.finished, newest) and _below(now.modified, modified)
        was = newest, modified
        if not now.is_another:
            newest, modified = _greatest(newest, now.finished), _greatest(modified, comparable)
        if now.phase == "unclear" or is_older:
            if current is not None:
                current.polls += now.polls
            continue
        asked_before = None if last is None else last.asked
        if current is None and _opens(last, now):
            current = _Open(_start(asked_before, now), asked_before, last is None, before)
            newest = was[0] if now.finished is None else now.finished
            modified = was[1] if comparable is None else comparable
        last = now
        if current is not None:
            current.seen.append(now)
            current.polls += 1 if now.phase == "settled" else now.polls
            if now.phase == "settled":
                done.append(_episode(len(done) + 1, current, _end(*now.window(asked_before)), gaps))
                before, current = now.ended, None
    return done if current is None else [*done, _episode(len(done) + 1, current, None, gaps)]


def _opens(last: Sighting | None, now: Sighting) -> bool:
    if now.phase in ("active", "blocked"):
        return True
    unseen = last is None or last.phase != "settled" or last.ended != now.ended
    return now.phase == "settled" and unseen


def _start(asked_before: int | None, now: Sighting) -> Place:
    earliest, until, modified = now.window(asked_before)
    latest = until if modified is None else modified
    if earliest is None:
        return Place(latest, None, latest, "first_sight")
    if asked_before is None:
        return Place(earliest, earliest, latest, "created_at")
    middle = _middle(earliest, until)
    by_update = modified is not None and modified < middle
    return Place(min(middle, latest), earliest, latest, "modified_at" if by_update else "midpoint")


def _end(earliest: int | None, latest: int, modified: int | None) -> Place:
    if modified is not None:
        return Place(modified, earliest, latest, "modified_at")
    if earliest is None:
        return Place(latest, None, latest, "first_sight")
    return Place(_middle(earliest, latest), earliest, latest, "midpoint")


def _between(start: Place, end: Place) -> list[float | None]:
    shortest = None if end.earliest is None else max(0, end.earliest - start.latest)
    longest = None if start.earliest is None else end.latest - start.earliest
    return [None if each is None else each / 1e6 for each in (max(0, end.at - start.at), shortest, longest)]


def _episode(number: int, of: _Open, end: Place | None, gaps: list[tuple[int, int]]) -> Json:
    start, last = of.started, of.seen[-1]
    until = last.seen if end is None else end.at
    if end is None:
        lasted = [max(0, last.seen - start.at) / 1e6, max(0, last.seen - start.latest) / 1e6, None]
    else:
        lasted = _between(start, end)
    rose = [name for name, old, new in zip(FINAL, of.before, last.ended, strict=True) if new > old]
    outcome = rose[0] if len(rose) == 1 else "mixed"
    in_gaps = sum(max(0, min(to, until) - max(since, start.at)) for since, to in gaps)
    return {
        "number": number,
        "started": start.members(),
        "completed": None if end is None else end.members(),
        "outcome": None if end is None else outcome,
        "duration_seconds": lasted[0],
        "duration_earliest_seconds": lasted[1],
        "duration_latest_seconds": lasted[2],
        "censored": end is None,
        "first_sight": of.first_sight,
        "runs": {"total": last.total, **{name: last.counts[name] for name in FINAL}},
        "gap_seconds": in_gaps / 1e6,
        "polls": of.polls,
        "milestones": [_milestone(of, share) for share in SHARES],
    }


def _milestone(of: _Open, share: Fraction) -> Json:
    total, done = of.seen[-1].total, sum(of.before)
    runs = None if total is None or total < done else ceil(share * (total - done))
    place = _reached(of, done, runs, is_last=share == 1) if runs else None
    since = [None] * 3 if place is None else _between(of.started, place)
    empty = dict.fromkeys(("at", "earliest", "latest", "basis"))
    names = ("seconds", "seconds_earliest", "seconds_latest")
    moment = empty if place is None else place.members()
    return {"fraction": float(share), "runs": runs, **moment, **dict(zip(names, since, strict=True))}


def _reached(of: _Open, done: int, runs: int, *, is_last: bool) -> Place | None:
    asked_before, most = of.asked_before, 0
    for now in of.seen:
        counted = now.total if now.phase == "settled" else now.finished
        if counted is None or counted - done < most:
            continue
        if counted - done >= runs:
            earliest, latest, modified = now.window(asked_before)
            return _end(earliest, latest, modified if is_last else None)
        asked_before, most = now.asked, counted - done
    return None


def _time_spent(records: list[Json], sightings: list[Sighting]) -> Json:
    by_time = iter(sightings)
    phases, runs = dict.fromkeys(PHASES, 0), dict.fromkeys(STATUSES, 0)
    watched, in_gaps, since, last_seen = 0, 0, None, 0
    lasting = [each for each in records if each.get("watch", {}).get("action") not in ("noted", "expected")]
    for record, follower in zip(lasting, [*lasting[1:], None], strict=True):
        at = _time(record["at"])
        if record["kind"] == "gap":
            in_gaps += at - _time(record["gap"]["from"])
        elif record["kind"] == "watch":
            watched += 0 if since is None else at - since
            is_on = record["watch"]["action"] in ("started", "resumed")
            since, last_seen = at if is_on else None, at
        else:
            now = next(by_time)
            last_seen = now.seen
            follows = None if follower is None else follower.get("gap", {}).get("from", follower["at"])
            held = (now.seen if follows is None else _time(follows)) - at
            phases[now.phase] += held
            for name in STATUSES:
                runs[name] += held * max(0, now.counts[name] or 0)
    watched += 0 if since is None else last_seen - since
    observed = watched - in_gaps
    spans = {"watched_seconds": watched, "gap_seconds": in_gaps, "observed_seconds": observed}
    return {
        "dwell_seconds": {name: micros / 1e6 for name, micros in phases.items()},
        "run_seconds": {name: micros / 1e6 for name, micros in runs.items()},
        "coverage": {
            **{name: micros / 1e6 for name, micros in spans.items()},
            "fraction": observed / watched if watched else None,
        },
    }


def _whole(value: Any) -> int | None:
    return value if type(value) is int else None


def _below(value: int | None, newest: int | None) -> bool:
    return value is not None and newest is not None and value < newest


def _greatest(*values: int | None) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _middle(earliest: int, latest: int) -> int:
    return earliest + round(Fraction(latest - earliest, 2))


def _micros(value: Any) -> int | None:
    try:
        return _time(value)
    except (TypeError, ValueError):
        return None


def _time(value: str) -> int:
    return (datetime.fromisoformat(value) - _EPOCH) // timedelta(microseconds=1)


def _text(micros: int | None) -> str | None:
    if micros is None:
        return None
    return f"{(_EPOCH + timedelta(microseconds=micros)).isoformat(timespec='microseconds')[:26]}Z"
