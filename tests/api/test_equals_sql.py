"""The API agrees with the SQL views, on both databases and for any ledger.

The views are read without the project's own queries, and everything that the API sums up is computed here
again from their rows. No view contains watch entries, so their times are taken from the history.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urljoin

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from psycopg.rows import dict_row

from api.app import create_app
from recorder.store.engine import check_url, open_engine
from tests.support.api_client import Client
from tests.support.audit_ledgers import random_ledgers, write
from tests.support.examples import examples
from tests.support.ledgers import T0, Ledger
from tests.support.strategies import ledgers

Row = dict[str, Any]

VIEWS = {
    "status_history": "seq",
    "latest_status": "seq",
    "group_completion": "episode",
    "group_milestones": "episode, fraction",
    "observation_gaps": "seq",
}
"""The views, with their order within a group."""
JSON_COLUMNS = {"metadata", "anomalies"}
BOOLEANS = {"is_active", "censored", "first_sight"}
RUN_STATUSES = ("queued", "action_required", "running", "completed", "failed", "cancelling", "cancelled")
PHASES = ("active", "blocked", "empty", "settled", "unclear")
WATCHING_ACTIONS = ("started", "resumed")
LARGEST = 2**63 - 1
GAP_WINDOW = timedelta(seconds=30)
"""The gap window of the rules by which both kinds of ledgers are generated."""


@pytest.fixture(scope="module")
def new_databases(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, postgres: str, postgres_template: str
) -> Callable[[], Any]:
    """A context manager that creates an empty database of each kind and returns their URLs."""

    @contextmanager
    def create() -> Iterator[list[str]]:
        path = tmp_path_factory.mktemp("equals") / "recorder.db"
        shutil.copyfile(sqlite_template, path)
        name = f"equals_{secrets.token_hex(6)}"
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
            yield [f"sqlite:///{path}", f"{postgres.rpartition('/')[0]}/{name}"]
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    return create


def test_ledgers_with_odd_bodies(new_databases: Callable[[], Any]) -> None:
    samples = list(random_ledgers(20, 12, 30, oddity=0.3, trouble=0.3))
    now = max(entry.at for ledger in samples for entry in ledger.entries) + timedelta(hours=1)
    _check_agreement(new_databases, samples, now)


@settings(
    max_examples=examples(0.2), derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ledger=ledgers(steps_back=True, remarks=True))
def test_any_ledger(new_databases: Callable[[], Any], ledger: Ledger) -> None:
    sample = SimpleNamespace(watch=ledger.watch, entries=ledger.entries, enrolled_at=T0)
    now = max(entry.at for entry in ledger.entries) + timedelta(seconds=35)
    _check_agreement(new_databases, [sample], now)


def _check_agreement(new_databases: Callable[[], Any], samples: list[Any], now: datetime) -> None:
    with new_databases() as urls:
        bodies = []
        for url in urls:
            responses = _responses(url, samples, now)
            _check_against_views(responses, _views(url), now)
            bodies.append(responses.bodies)
        assert bodies[0] == bodies[1]


class Responses:
    """Fetches responses and keeps their bodies as bytes, by address."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.bodies: dict[str, bytes] = {}

    def __call__(self, address: str) -> Any:
        if address not in self.bodies:
            self.bodies[address] = self._client.get_response(address).get_data()
        return json.loads(self.bodies[address])

    def items(self, address: str) -> list[Row]:
        """Return the items of all pages."""
        page = self(address)
        return page["items"] + (self.items(urljoin(address, page["next"])) if page["next"] else [])

    def group(self, taskgroup_id: str, resource: str = "") -> Any:
        return self(f"/api/v1/groups/{quote(taskgroup_id, safe='')}{resource}")

    def group_items(self, taskgroup_id: str, resource: str) -> list[Row]:
        return self.items(f"/api/v1/groups/{quote(taskgroup_id, safe='')}{resource}")


def _responses(url: str, samples: list[Any], now: datetime) -> Responses:
    with ExitStack() as stack:
        writer, reader = open_engine(check_url(url)), open_engine(check_url(url), read_only=True)
        stack.callback(writer.dispose)
        stack.callback(reader.dispose)
        write(writer, samples)
        responses = Responses(Client(create_app(reader, now=lambda: now)))
        responses.items("/api/v1/groups?limit=5")
        responses("/api/v1/completion")
        for ledger in samples:
            for resource in ("", "/status", "/completion", "/audit"):
                responses.group(ledger.watch.taskgroup_id, resource)
            for resource in ("/history?limit=7", "/gaps?limit=2"):
                responses.group_items(ledger.watch.taskgroup_id, resource)
        return responses


@dataclass(frozen=True)
class Views:
    """The rows of the views, ordered by group and number."""

    status_history: list[Row]
    latest_status: list[Row]
    group_completion: list[Row]
    group_milestones: list[Row]
    observation_gaps: list[Row]


def _views(url: str) -> Views:
    statements = [f"SELECT * FROM {view} ORDER BY taskgroup_id, {order}" for view, order in VIEWS.items()]
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.row_factory = sqlite3.Row
            found = [[dict(row) for row in connection.execute(statement)] for statement in statements]
    else:
        with psycopg.connect(url, row_factory=dict_row) as connection:
            found = [list(connection.execute(statement)) for statement in statements]  # type: ignore[arg-type]
    return Views(*([_plain(row, as_text=url.startswith("sqlite")) for row in rows] for rows in found))


def _plain(row: Row, *, as_text: bool) -> Row:
    """Return a row with times as text, true booleans, and parsed JSON."""
    plain = {}
    for name, value in row.items():
        if isinstance(value, datetime):
            plain[name] = value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        elif as_text and name in JSON_COLUMNS and value is not None:
            plain[name] = json.loads(value)
        elif as_text and name in BOOLEANS and value is not None:
            plain[name] = {0: False, 1: True}[value]
        else:
            plain[name] = value
    return plain


def _check_against_views(responses: Responses, views: Views, now: datetime) -> None:
    listed = {group["taskgroup_id"]: group for group in responses.items("/api/v1/groups?limit=5")}
    assert len(listed) == len(views.latest_status) > 0
    for row in views.latest_status:
        taskgroup_id = row["taskgroup_id"]
        statuses, gaps, episodes, milestones = (
            [other for other in rows if other["taskgroup_id"] == taskgroup_id]
            for rows in (
                *(views.status_history, views.observation_gaps),
                *(views.group_completion, views.group_milestones),
            )
        )
        history = responses.group_items(taskgroup_id, "/history?limit=7")
        assert responses.group(taskgroup_id) == listed[taskgroup_id]
        _check_group(listed[taskgroup_id], row, now)
        _check_latest(responses.group(taskgroup_id, "/status"), row)
        _check_history(history, statuses, gaps)
        gap_items = responses.group_items(taskgroup_id, "/gaps?limit=2")
        _check_gaps(gap_items, gaps)
        _check_open_gap(listed[taskgroup_id]["open_gap"], history, gap_items)
        _check_time(responses, taskgroup_id, _spans(history, statuses, gaps))
        _check_episodes(responses.group(taskgroup_id, "/completion")["episodes"], episodes)
        _check_milestones(responses.group(taskgroup_id, "/completion")["episodes"], milestones)
        _check_audit(responses.group(taskgroup_id, "/audit"), history, statuses, gaps)
    _check_statistics(responses("/api/v1/completion"), views.group_completion)


def _check_group(group: Row, row: Row, now: datetime) -> None:
    same = (
        "state",
        "phase",
        "created_at",
        "seq",
        "observed_at",
        "last_seen_at",
        "polls",
        "due_at",
        "anomalies",
    )
    assert {name: group[name] for name in same} == {name: row[name] for name in same}
    expected = group["expected"] or {"runs": None, "by": None}
    assert (expected["runs"], expected["by"]) == (row["expected_runs"], row["expected_by"])
    assert _as_doubles(_in_sql(group["metadata"])) == _as_doubles(row["metadata"])
    _check_status(group["status"], row)
    late = row["due_at"] is not None and _time(row["due_at"]) + GAP_WINDOW < now
    assert (group["open_gap"] is not None) == late
    if row["seq"] is not None and not {"bad_type", "unknown_status", "inexact_number"} & set(
        row["anomalies"]
    ):
        finished = sum(row[name] or 0 for name in ("completed", "failed", "cancelled"))
        total = row["num_task_runs"]
        fraction = finished / total if total is not None and total > 0 else None
        assert group["progress"] == {"finished": finished, "total": total, "fraction": fraction}


def _check_latest(status: Row, row: Row) -> None:
    same = ("taskgroup_id", "phase", "seq", "observed_at", "last_seen_at", "polls", "anomalies", "digest")
    assert {name: status[name] for name in same} == {name: row[name] for name in same}
    _check_status(status["status"], row)


def _check_status(status: Row | None, row: Row) -> None:
    """Columns hold values that have the documented type, and null instead of others."""
    members = status or {}
    counts = members.get("task_run_status_counts")
    counts = counts if isinstance(counts, dict) else {}
    assert row["num_task_runs"] == _integer(members.get("num_task_runs"))
    assert {name: row[name] for name in RUN_STATUSES} == {
        name: _integer(counts.get(name)) for name in RUN_STATUSES
    }
    active, message = members.get("is_active"), members.get("status_message")
    assert row["is_active"] is (active if isinstance(active, bool) else None)
    assert row["status_message"] == (_in_sql(message) if isinstance(message, str) else None)


def _integer(value: Any) -> int | None:
    return value if type(value) is int and abs(value) <= LARGEST else None


def _in_sql(value: Any) -> Any:
    """Return a value as SQL shows it: with U+FFFD instead of U+0000."""
    return json.loads(json.dumps(value).replace("\\u0000", "\\ufffd"))


def _as_doubles(value: Any) -> Any:
    """Return a JSON value whose numbers are doubles: jsonb writes 1e300 as an integer of 301 digits."""
    if isinstance(value, dict):
        return {name: _as_doubles(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_as_doubles(item) for item in value]
    return float(value) if type(value) is int else value


def _check_history(history: list[Row], statuses: list[Row], gaps: list[Row]) -> None:
    recorded = [item for item in history if item["seq"] is not None]
    assert [item["seq"] for item in recorded] == list(range(1, len(recorded) + 1))
    status_items = [item for item in recorded if item["kind"] == "status"]
    assert len(status_items) == len(statuses)
    same = ("seq", "observed_at", "last_seen_at", "polls", "phase", "created_at", "anomalies", "digest")
    for item, row in zip(status_items, statuses, strict=True):
        assert {name: item[name] for name in same} == {name: row[name] for name in same}
        assert item["at"] == row["observed_at"]
        assert _as_doubles(_in_sql(item["metadata"])) == _as_doubles(row["metadata"])
        _check_status(item["status"], row)
    closed = [item for item in recorded if item["kind"] == "gap"]
    assert [{"seq": item["seq"], **item["gap"]} for item in closed] == [
        _without_duration(gap) for gap in gaps
    ]
    assert [item["at"] for item in closed] == [gap["gap_to"] for gap in gaps]


def _without_duration(gap: Row) -> Row:
    return {name: value for name, value in _gap_members(gap).items() if name != "duration_seconds"}


def _gap_members(gap: Row) -> Row:
    names = {"gap_from": "from", "gap_to": "to"}
    return {names.get(name, name): value for name, value in gap.items() if name != "taskgroup_id"}


def _check_gaps(items: list[Row], gaps: list[Row]) -> None:
    assert [item for item in items if item["seq"] is not None] == [_gap_members(gap) for gap in gaps]
    for gap in gaps:
        assert gap["duration_seconds"] == (_time(gap["gap_to"]) - _time(gap["gap_from"])).total_seconds()


def _is_remark(item: Row) -> bool:
    return item["kind"] == "watch" and item["watch"]["action"] in {"noted", "expected"}


def _check_open_gap(gap: Row | None, history: list[Row], gaps: list[Row]) -> None:
    """It is the same everywhere, and starts when the newest entry was last confirmed."""
    in_history = [item["gap"] for item in history if item["seq"] is None]
    in_gaps = [item for item in gaps if item["seq"] is None]
    assert in_history == ([gap] if gap else [])
    assert in_gaps == ([{"seq": None, "duration_seconds": None, **gap}] if gap else [])
    if gap:
        newest = next(item for item in reversed(history[:-1]) if not _is_remark(item))
        assert (gap["from"], gap["to"]) == (newest["last_seen_at"] or newest["at"], None)


@dataclass(frozen=True)
class WatchedSpan:
    """A span of watched time in microseconds: with the row of an observed status, in a gap, or neither."""

    length: int
    row: Row | None = None
    gap: bool = False


def _spans(history: list[Row], statuses: list[Row], gaps: list[Row]) -> list[WatchedSpan]:
    """Return the watched time of a ledger, entry by entry; a step back of the clock counts as zero.

    Notes and expectations say nothing about the group, and what was seen before them holds on.
    """
    by_seq = {row["seq"]: row for row in (*statuses, *gaps)}
    changes = {item["seq"]: item for item in history if item["kind"] == "watch" and not _is_remark(item)}
    entries = [by_seq.get(seq) or changes[seq] for seq in sorted({*by_seq, *changes})]
    starts = [row.get("gap_from") or row.get("observed_at") or row["at"] for row in entries]
    ends = [*starts[1:], entries[-1].get("last_seen_at")]
    spans = []
    for row, start, end in zip(entries, starts, ends, strict=True):
        if "gap_from" in row:
            spans.append(WatchedSpan(_micros(start, row["gap_to"]), gap=True))
            spans.append(WatchedSpan(_micros(row["gap_to"], end)))
        elif "digest" in row and row.get("watch") is None:
            spans.append(WatchedSpan(_micros(start, end), row))
        elif row["watch"]["action"] in WATCHING_ACTIONS:
            spans.append(WatchedSpan(_micros(start, end)))
    return spans


def _micros(start: str, end: str | None) -> int:
    return 0 if end is None else max(0, (_time(end) - _time(start)) // timedelta(microseconds=1))


def _check_time(responses: Responses, taskgroup_id: str, spans: list[WatchedSpan]) -> None:
    watched = sum(span.length for span in spans)
    gaps = sum(span.length for span in spans if span.gap)
    assert responses.group(taskgroup_id, "/gaps?limit=2")["coverage"] == {
        "watched_seconds": watched / 10**6,
        "gap_seconds": gaps / 10**6,
        "observed_seconds": (watched - gaps) / 10**6,
        "fraction": (watched - gaps) / watched if watched else None,
    }
    completion, seen = responses.group(taskgroup_id, "/completion"), [part for part in spans if part.row]
    assert completion["dwell_seconds"] == {
        phase: sum(part.length for part in seen if part.row["phase"] == phase) / 10**6 for phase in PHASES
    }
    assert completion["run_seconds"] == {
        name: sum(part.length * max(0, part.row[name] or 0) for part in seen) / 10**6 for name in RUN_STATUSES
    }


def _check_episodes(episodes: list[Row], rows: list[Row]) -> None:
    flat = []
    for episode in episodes:
        started, completed = episode["started"], episode["completed"] or {}
        flat.append(
            {
                "episode": episode["number"],
                "started_at": started["at"],
                **{f"started_{end}": started[end] for end in ("earliest", "latest")},
                "completed_at": completed.get("at"),
                **{f"completed_{end}": completed.get(end) for end in ("earliest", "latest")},
                **{f"runs_{name}": count for name, count in episode["runs"].items()},
                **{name: value for name, value in episode.items() if name in rows[0]},
            }
        )
    assert flat == [{name: value for name, value in row.items() if name != "taskgroup_id"} for row in rows]


def _check_milestones(episodes: list[Row], rows: list[Row]) -> None:
    flat = [
        {"episode": episode["number"], **milestone}
        for episode in episodes
        for milestone in episode["milestones"]
    ]
    assert flat == [{name: value for name, value in row.items() if name != "taskgroup_id"} for row in rows]


def _check_audit(audit: Row, history: list[Row], statuses: list[Row], gaps: list[Row]) -> None:
    changes = [item for item in history if item["kind"] == "watch"]
    newest = max([*statuses, *gaps, *changes], key=lambda row: row["seq"])
    assert audit["entries"] == audit["head_seq"] == newest["seq"] == len(statuses) + len(gaps) + len(changes)
    assert audit["first_at"] == history[0]["at"]
    assert audit["last_at"] == (newest.get("observed_at") or newest.get("gap_to") or newest["at"])
    if newest in statuses:
        assert audit["head_digest"] == newest["digest"]
    assert audit["anomalies"] == Counter(name for row in statuses for name in row["anomalies"])


def _check_statistics(statistics: Row, episodes: list[Row]) -> None:
    (cohort,) = statistics["items"]
    completed = [row["duration_seconds"] for row in episodes if not row["censored"]]
    assert (cohort["episodes"], cohort["completed"], cohort["censored"]) == (
        *(len(episodes), len(completed)),
        len(episodes) - len(completed),
    )
    assert (cohort["min_seconds"], cohort["max_seconds"]) == (
        min(completed, default=None),
        max(completed, default=None),
    )
    mean = sum(map(Fraction, completed)) / len(completed) if completed else None
    assert cohort["completed_mean_seconds"] == (mean and pytest.approx(float(mean)))
    durations = [(row["duration_seconds"], bool(row["censored"])) for row in episodes]
    assert cohort["p50"]["seconds"] == _median(durations)


def _median(durations: list[tuple[float, bool]]) -> float | None:
    """Return the median of the Kaplan-Meier curve, computed with exact fractions."""
    surviving = Fraction(1)
    for moment in sorted({seconds for seconds, censored in durations if not censored}):
        completed = durations.count((moment, False))
        at_risk = sum(seconds >= moment for seconds, _ in durations)
        surviving *= Fraction(at_risk - completed, at_risk)
        if surviving <= Fraction(1, 2):
            return moment
    return None


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
