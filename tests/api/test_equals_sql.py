"""What the API says is what the four SQL views say, on either database, of any ledger.

The views are read past the project's own readers, and what the API adds up is added up here again, from the
rows of the views. Changes of the watch are in no view: their times are taken from the history.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from psycopg.rows import dict_row

from api.app import create_app
from recorder.store.engine import check_url, open_engine
from tests.support.api_client import Client
from tests.support.audit_ledgers import random_ledgers, write
from tests.support.ledgers import T0, Ledger
from tests.support.strategies import ledgers

Row = dict[str, Any]

VIEWS = ("status_history", "latest_status", "group_completion", "observation_gaps")
JSON_COLUMNS = {"metadata", "anomalies"}
BOOLEANS = {"is_active", "censored", "first_sight"}
RUN_STATUSES = ("queued", "action_required", "running", "completed", "failed", "cancelling", "cancelled")
PHASES = ("active", "blocked", "empty", "settled", "unclear")
WATCHING = ("started", "resumed")
LARGEST = 2**63 - 1
GAP_WINDOW = timedelta(seconds=30)
"""Of the rules that both kinds of ledgers are made by."""


@pytest.fixture(scope="module")
def new_databases(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, postgres: str, postgres_template: str
) -> Callable[[], Any]:
    """What makes the URLs of an empty SQLite file and an empty PostgreSQL database, for a block."""

    @contextmanager
    def make() -> Iterator[list[str]]:
        path = tmp_path_factory.mktemp("equals") / "recorder.db"
        shutil.copyfile(sqlite_template, path)
        name = f"equals_{secrets.token_hex(6)}"
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
            yield [f"sqlite:///{path}", f"{postgres.rpartition('/')[0]}/{name}"]
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    return make


def test_of_ledgers_with_odd_answers(new_databases: Callable[[], Any]) -> None:
    made = list(random_ledgers(20, 12, 30, oddity=0.3, trouble=0.3))
    now = max(entry.at for ledger in made for entry in ledger.entries) + timedelta(hours=1)
    _require_equal(new_databases, made, now)


@settings(max_examples=8, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ledger=ledgers(steps_back=True))
def test_of_any_ledger(new_databases: Callable[[], Any], ledger: Ledger) -> None:
    made = SimpleNamespace(watch=ledger.watch, entries=ledger.entries, enrolled_at=T0)
    now = max(entry.at for entry in ledger.entries) + timedelta(seconds=35)
    _require_equal(new_databases, [made], now)


def _require_equal(new_databases: Callable[[], Any], made: Iterable[Any], now: datetime) -> None:
    made = list(made)
    with new_databases() as urls:
        answers = []
        for url in urls:
            said = _answers(url, made, now)
            _require_what_the_views_say(said, _views(url), now)
            answers.append(said.answers)
        assert answers[0] == answers[1]


class Said:
    """What the API answers, by address, as it stood on the wire."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.answers: dict[str, bytes] = {}

    def __call__(self, address: str) -> Any:
        if address not in self.answers:
            self.answers[address] = self._client.answer(address).get_data()
        return json.loads(self.answers[address])

    def items(self, address: str) -> list[Row]:
        """The items of all pages."""
        page = self(address)
        return page["items"] + (self.items(page["next"]) if page["next"] else [])

    def of(self, taskgroup_id: str, resource: str = "") -> Any:
        return self(f"/api/v1/groups/{quote(taskgroup_id, safe='')}{resource}")

    def items_of(self, taskgroup_id: str, resource: str) -> list[Row]:
        return self.items(f"/api/v1/groups/{quote(taskgroup_id, safe='')}{resource}")


def _answers(url: str, made: list[Any], now: datetime) -> Said:
    with ExitStack() as stack:
        writer, reader = open_engine(check_url(url)), open_engine(check_url(url), read_only=True)
        stack.callback(writer.dispose)
        stack.callback(reader.dispose)
        write(writer, made)
        said = Said(Client(create_app(reader, now=lambda: now)))
        said.items("/api/v1/groups?limit=5")
        said("/api/v1/completion")
        for ledger in made:
            for resource in ("", "/status", "/completion", "/audit"):
                said.of(ledger.watch.taskgroup_id, resource)
            for resource in ("/history?limit=7", "/gaps?limit=2"):
                said.items_of(ledger.watch.taskgroup_id, resource)
        return said


@dataclass(frozen=True)
class Views:
    """The rows of the four views, in the order of ids and numbers."""

    status_history: list[Row]
    latest_status: list[Row]
    group_completion: list[Row]
    observation_gaps: list[Row]


def _views(url: str) -> Views:
    number = {"group_completion": "episode"}
    statements = [f"SELECT * FROM {view} ORDER BY taskgroup_id, {number.get(view, 'seq')}" for view in VIEWS]
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.row_factory = sqlite3.Row
            found = [[dict(row) for row in connection.execute(statement)] for statement in statements]
    else:
        with psycopg.connect(url, row_factory=dict_row) as connection:
            found = [list(connection.execute(statement)) for statement in statements]  # type: ignore[arg-type]
    return Views(*([_plain(row, as_text=url.startswith("sqlite")) for row in rows] for rows in found))


def _plain(row: Row, *, as_text: bool) -> Row:
    """A row with times as text, booleans as such, and JSON as what it stands for."""
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


def _require_what_the_views_say(said: Said, views: Views, now: datetime) -> None:
    listed = {group["taskgroup_id"]: group for group in said.items("/api/v1/groups?limit=5")}
    assert len(listed) == len(views.latest_status) > 0
    for row in views.latest_status:
        taskgroup_id = row["taskgroup_id"]
        statuses, gaps, episodes = (
            [other for other in rows if other["taskgroup_id"] == taskgroup_id]
            for rows in (views.status_history, views.observation_gaps, views.group_completion)
        )
        history = said.items_of(taskgroup_id, "/history?limit=7")
        assert said.of(taskgroup_id) == listed[taskgroup_id]
        _check_group(listed[taskgroup_id], row, now)
        _check_latest(said.of(taskgroup_id, "/status"), row)
        _check_history(history, statuses, gaps)
        shown_gaps = said.items_of(taskgroup_id, "/gaps?limit=2")
        _check_gaps(shown_gaps, gaps)
        _check_open_gap(listed[taskgroup_id]["open_gap"], history, shown_gaps)
        _check_time(said, taskgroup_id, _stretches(history, statuses, gaps))
        _check_episodes(said.of(taskgroup_id, "/completion")["episodes"], episodes)
        _check_audit(said.of(taskgroup_id, "/audit"), history, statuses, gaps)
    _check_statistics(said("/api/v1/completion"), views.group_completion)


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
    assert _shown(group["metadata"]) == row["metadata"]
    _check_status(group["status"], row)
    late = row["due_at"] is not None and _time(row["due_at"]) + GAP_WINDOW < now
    assert (group["open_gap"] is not None) == late
    if row["seq"] is not None and not {"bad_type", "unknown_status"} & set(row["anomalies"]):
        finished = sum(row[name] or 0 for name in ("completed", "failed", "cancelled"))
        total = row["num_task_runs"]
        fraction = finished / total if total is not None and total > 0 else None
        assert group["progress"] == {"finished": finished, "total": total, "fraction": fraction}


def _check_latest(status: Row, row: Row) -> None:
    same = ("taskgroup_id", "phase", "seq", "observed_at", "last_seen_at", "polls", "anomalies", "digest")
    assert {name: status[name] for name in same} == {name: row[name] for name in same}
    _check_status(status["status"], row)


def _check_status(status: Row | None, row: Row) -> None:
    """The columns hold what was said in the type that is documented, and null else."""
    said = status or {}
    counts = said.get("task_run_status_counts")
    counts = counts if isinstance(counts, dict) else {}
    assert row["num_task_runs"] == _integer(said.get("num_task_runs"))
    assert {name: row[name] for name in RUN_STATUSES} == {
        name: _integer(counts.get(name)) for name in RUN_STATUSES
    }
    active, message = said.get("is_active"), said.get("status_message")
    assert row["is_active"] is (active if isinstance(active, bool) else None)
    assert row["status_message"] == (_shown(message) if isinstance(message, str) else None)


def _integer(value: Any) -> int | None:
    return value if type(value) is int and abs(value) <= LARGEST else None


def _shown(value: Any) -> Any:
    """A value as SQL shows it: without U+0000."""
    return json.loads(json.dumps(value).replace("\\u0000", "\\ufffd"))


def _check_history(history: list[Row], statuses: list[Row], gaps: list[Row]) -> None:
    written = [item for item in history if item["seq"] is not None]
    assert [item["seq"] for item in written] == list(range(1, len(written) + 1))
    shown = [item for item in written if item["kind"] == "status"]
    assert len(shown) == len(statuses)
    same = ("seq", "observed_at", "last_seen_at", "polls", "phase", "created_at", "anomalies", "digest")
    for item, row in zip(shown, statuses, strict=True):
        assert {name: item[name] for name in same} == {name: row[name] for name in same}
        assert item["at"] == row["observed_at"]
        assert _shown(item["metadata"]) == row["metadata"]
        _check_status(item["status"], row)
    closed = [item for item in written if item["kind"] == "gap"]
    assert [{"seq": item["seq"], **item["gap"]} for item in closed] == [
        _without_duration(gap) for gap in gaps
    ]
    assert [item["at"] for item in closed] == [gap["gap_to"] for gap in gaps]


def _without_duration(gap: Row) -> Row:
    return {name: value for name, value in _gap_members(gap).items() if name != "duration_seconds"}


def _gap_members(gap: Row) -> Row:
    shown = {"gap_from": "from", "gap_to": "to"}
    return {shown.get(name, name): value for name, value in gap.items() if name != "taskgroup_id"}


def _check_gaps(items: list[Row], gaps: list[Row]) -> None:
    assert [item for item in items if item["seq"] is not None] == [_gap_members(gap) for gap in gaps]
    for gap in gaps:
        assert gap["duration_seconds"] == (_time(gap["gap_to"]) - _time(gap["gap_from"])).total_seconds()


def _check_open_gap(gap: Row | None, history: list[Row], gaps: list[Row]) -> None:
    """It is told alike everywhere, and begins where the newest entry was last said."""
    in_history = [item["gap"] for item in history if item["seq"] is None]
    in_gaps = [item for item in gaps if item["seq"] is None]
    assert in_history == ([gap] if gap else [])
    assert in_gaps == ([{"seq": None, "duration_seconds": None, **gap}] if gap else [])
    if gap:
        newest = history[-2]
        assert (gap["from"], gap["to"]) == (newest["last_seen_at"] or newest["at"], None)


@dataclass(frozen=True)
class Stretch:
    """So many microseconds of which something is known: `row` of a status that was in sight, or a gap."""

    length: int
    row: Row | None = None
    gap: bool = False


def _stretches(history: list[Row], statuses: list[Row], gaps: list[Row]) -> list[Stretch]:
    """The watched time of a ledger, entry by entry; where a clock stepped back it is none."""
    by_seq = {row["seq"]: row for row in (*statuses, *gaps)}
    changes = {item["seq"]: item for item in history if item["kind"] == "watch"}
    entries = [by_seq.get(seq) or changes[seq] for seq in sorted({*by_seq, *changes})]
    starts = [row.get("gap_from") or row.get("observed_at") or row["at"] for row in entries]
    ends = [*starts[1:], entries[-1].get("last_seen_at")]
    stretches = []
    for row, start, end in zip(entries, starts, ends, strict=True):
        if "gap_from" in row:
            stretches.append(Stretch(_micros(start, row["gap_to"]), gap=True))
            stretches.append(Stretch(_micros(row["gap_to"], end)))
        elif "digest" in row and row.get("watch") is None:
            stretches.append(Stretch(_micros(start, end), row))
        elif row["watch"]["action"] in WATCHING:
            stretches.append(Stretch(_micros(start, end)))
    return stretches


def _micros(start: str, end: str | None) -> int:
    return 0 if end is None else max(0, (_time(end) - _time(start)) // timedelta(microseconds=1))


def _check_time(said: Said, taskgroup_id: str, stretches: list[Stretch]) -> None:
    watched = sum(stretch.length for stretch in stretches)
    gaps = sum(stretch.length for stretch in stretches if stretch.gap)
    assert said.of(taskgroup_id, "/gaps?limit=2")["coverage"] == {
        "watched_seconds": watched / 10**6,
        "gap_seconds": gaps / 10**6,
        "observed_seconds": (watched - gaps) / 10**6,
        "fraction": (watched - gaps) / watched if watched else None,
    }
    completion, seen = said.of(taskgroup_id, "/completion"), [part for part in stretches if part.row]
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
    over = [row["duration_seconds"] for row in episodes if not row["censored"]]
    assert (cohort["episodes"], cohort["completed"], cohort["censored"]) == (
        *(len(episodes), len(over)),
        len(episodes) - len(over),
    )
    assert (cohort["min_seconds"], cohort["max_seconds"]) == (
        min(over, default=None),
        max(over, default=None),
    )
    mean = sum(map(Fraction, over)) / len(over) if over else None
    assert cohort["completed_mean_seconds"] == (mean and pytest.approx(float(mean)))
    lasting = [(row["duration_seconds"], bool(row["censored"])) for row in episodes]
    assert cohort["p50"]["seconds"] == _half(lasting)


def _half(durations: list[tuple[float, bool]]) -> float | None:
    """When half of the episodes are over by the Kaplan-Meier curve, in exact fractions."""
    surviving = Fraction(1)
    for moment in sorted({seconds for seconds, censored in durations if not censored}):
        ended = durations.count((moment, False))
        at_risk = sum(seconds >= moment for seconds, _ in durations)
        surviving *= Fraction(at_risk - ended, at_risk)
        if surviving <= Fraction(1, 2):
            return moment
    return None


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
