"""Statistics of durations over many groups, computed again from the SQL views."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from datetime import datetime
from fractions import Fraction
from hashlib import sha256
from math import inf
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from sqlalchemy import Engine, insert, select, text

from api.app import create_app
from recorder.ledger.timestamps import parse_time
from recorder.store.tables import episodes, group_labels, labelled_durations
from recorder.store.transactions import reading, writing
from tests.support.api_client import Client
from tests.support.exact_survival import exact_bounds
from tests.support.recording import Recording, active, after, settled

STATISTICS = "/api/v1/completion"
CURVE = f"{STATISTICS}/curve"
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
PROCESSORS: list[Any] = ["lite", "pro", 1, "1", True, 'ö "quoted"', None]
Row = dict[str, Any]


def _record(engine: Engine) -> None:
    """Record groups with one or two episodes, first seen before the start or later, completed or not."""
    recording = Recording(engine)
    chance = random.Random(7)
    for number in range(25):
        group, at = f"tgrp_{number:02}", float(number)
        recording.watch(group, at)
        metadata = {"processor": chance.choice(PROCESSORS), "batch": number % 2}
        created = chance.choice([None, after(at - 5).isoformat()])
        members = {"metadata": metadata, "created_at": created}
        if chance.random() < 0.6:
            recording.see(group, at := at + 1, settled(), **members)
        for _ in range(chance.choice([1, 1, 2])):
            runs = chance.randint(1, 4)
            for _ in range(chance.randint(1, 3)):
                recording.see(group, at := at + chance.choice([2, 10, 30.5]), active(running=runs), **members)
            if chance.random() < 0.3:
                break
            recording.see(group, at := at + 10, settled(completed=runs + int(at)), **members)


def _episode_rows(engine: Engine) -> list[Row]:
    """Return all episodes, each with the metadata and creation time of its group."""
    query = """SELECT c.*, s.metadata, s.created_at FROM group_completion c
        JOIN latest_status s ON s.taskgroup_id = c.taskgroup_id"""
    with reading(engine) as connection:
        rows = [dict(row) for row in connection.execute(text(query)).mappings()]
    for row in rows:
        for name, value in row.items():
            if name == "metadata":
                row[name] = json.loads(value) if isinstance(value, str) else value
            elif name.startswith(("started_", "completed_", "created_")) and isinstance(value, str):
                row[name] = parse_time(value)
    return rows


def _spans(rows: Sequence[Row]) -> list[tuple[float, float, float, bool]]:
    return [
        (
            row["duration_seconds"],
            row["duration_earliest_seconds"] or 0.0,
            _latest(row),
            bool(row["censored"]),
        )
        for row in rows
    ]


def _latest(row: Row) -> float:
    if row["censored"]:
        earliest = row["started_earliest"]
        lead = inf if earliest is None else _seconds(earliest, row["started_at"])
        return float(row["duration_seconds"] + lead)
    latest = row["duration_latest_seconds"]
    return inf if latest is None else float(latest)


def _since_created(rows: Sequence[Row]) -> list[tuple[float, float, float, bool]]:
    spans = []
    for row in rows:
        if row["episode"] == 1 and row["created_at"] is not None:
            lead = _seconds(row["created_at"], row["started_at"])
            if row["censored"]:
                seen = lead + row["duration_seconds"]
                spans.append((seen, seen, seen, True))
            else:
                ends = (row[f"completed_{name}"] for name in ("at", "earliest", "latest"))
                at, earliest, latest = (end and _seconds(row["created_at"], end) for end in ends)
                spans.append((at, earliest or 0.0, latest, False))
    return spans


def _seconds(start: datetime, end: datetime) -> float:
    return max(0.0, (end - start).total_seconds())


def _expected(spans: Sequence[tuple[float, float, float, bool]]) -> Row:
    completed = [span[0] for span in spans if not span[3]]
    found: Row = {
        "episodes": len(spans),
        "completed": len(completed),
        "censored": len(spans) - len(completed),
    }
    for name, p in QUANTILES.items():
        quantile = _quantile([(span[0], not span[3]) for span in spans], p)
        limits = [(min(span[:2]), max(span[0], span[2]), not span[3]) for span in spans]
        bounds = exact_bounds(limits, Fraction(str(p)))
        found[name] = [quantile, *(end and pytest.approx(end, abs=1e-9) for end in bounds)]
    found |= {"min_seconds": min(completed, default=None), "max_seconds": max(completed, default=None)}
    return found | {
        "completed_mean_seconds": pytest.approx(sum(completed) / len(completed)) if completed else None
    }


def _quantile(sample: Sequence[tuple[float, bool]], p: float) -> float | None:
    """Return a quantile of the Kaplan-Meier curve, computed step by step."""
    surviving = 1.0
    for time in sorted({time for time, _ in sample}):
        at_risk = sum(other >= time for other, _ in sample)
        surviving *= 1 - sum(other == time and completed for other, completed in sample) / at_risk
        if surviving <= 1 - p + 1e-12:
            return time
    return None


def _figures(item: Row) -> Row:
    """Return an item of the response in the form of `_expected`."""
    figures = {name: value for name, value in item.items() if name != "key"}
    for name in QUANTILES:
        figures[name] = [item[name]["seconds"], *item[name]["bounds"]]
    return figures


SELECTIONS: dict[str, Callable[[Row], bool]] = {
    "": lambda _: True,
    "enrolled=prospective": lambda row: not row["first_sight"],
    "from=2026-11-24T12:00:10Z": lambda row: row["started_at"] >= after(10),
    "to=2026-11-24T12:00:10Z&enrolled=prospective": lambda row: (
        row["started_at"] < after(10) and not row["first_sight"]
    ),
    "metadata.processor=pro": lambda row: row["metadata"]["processor"] == "pro",
    "metadata[processor]=1": lambda row: (
        row["metadata"]["processor"] in (1, "1") and row["metadata"]["processor"] is not True
    ),
    "metadata.processor=1&metadata.batch=1": lambda row: (
        row["metadata"]["processor"] in (1, "1")
        and row["metadata"]["processor"] is not True
        and row["metadata"]["batch"] == 1
    ),
    f"metadata.processor={quote(PROCESSORS[5])}": lambda row: row["metadata"]["processor"] == PROCESSORS[5],
    "metadata.nothing=1": lambda _: False,
}


@pytest.fixture
def recorded(engine: Engine) -> list[Row]:
    """The episodes of a ledger that `_record` has filled."""
    rows = _episode_rows(engine)
    assert len(rows) > 25
    assert (
        {bool(row["censored"]) for row in rows} == {bool(row["first_sight"]) for row in rows} == {True, False}
    )
    return rows


@pytest.mark.ledger(fill=_record)
def test_statistics_match_the_views(client: Client, recorded: list[Row]) -> None:
    for selection, chosen in SELECTIONS.items():
        rows = [row for row in recorded if chosen(row)]
        (item,) = client.get(f"{STATISTICS}?{selection}")["items"]
        assert item["key"] is None
        assert _figures(item) == _expected(_spans(rows)), selection
        (item,) = client.get(f"{STATISTICS}?{selection}&since=created")["items"]
        assert _figures(item) == _expected(_since_created(rows)), selection


@pytest.mark.ledger(fill=_record)
def test_cohorts_partition_the_selection(client: Client, recorded: list[Row]) -> None:
    for address in ("group_by=metadata.processor", "group_by=metadata%5Bprocessor%5D"):
        items = client.get(f"{STATISTICS}?{address}")["items"]
        assert [item["key"] for item in items] == _sorted(PROCESSORS)
        for item in items:
            same = [row for row in recorded if _equal(row["metadata"]["processor"], item["key"])]
            assert _figures(item) == _expected(_spans(same)), item["key"]


def _sorted(values: Sequence[Any]) -> list[Any]:
    """Return the values in the order of their JSON texts, None last."""
    return sorted(values, key=lambda value: (value is None, json.dumps(value, ensure_ascii=False)))


def _equal(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other


@pytest.mark.ledger(fill=_record)
def test_the_curve_matches_the_same_selection(client: Client, recorded: list[Row]) -> None:
    for selection, chosen in SELECTIONS.items():
        spans = _spans([row for row in recorded if chosen(row)])
        items = client.get(f"{CURVE}?{selection}")["items"]
        assert [item["seconds"] for item in items] == sorted(
            {0.0, *(span[0] for span in spans)} if spans else []
        )
        for item in items:
            assert item["at_risk"] == sum(span[0] >= item["seconds"] for span in spans)
        for p in QUANTILES.values():
            reached = [item["seconds"] for item in items if item["surviving"] <= 1 - p + 1e-12]
            expected = _quantile([(span[0], not span[3]) for span in spans], p)
            assert (reached[0] if reached else None) == expected


ODD_VALUES = ["%00", "a%00b", "%22", "1e999", "NaN", "null", "[1]", "%7B%7D", "9" * 5000]


@pytest.mark.ledger(fill=_record)
def test_odd_values_match_nothing(client: Client, recorded: list[Row]) -> None:
    for value in ODD_VALUES:
        (item,) = client.get(f"{STATISTICS}?metadata.processor={value}")["items"]
        assert item["episodes"] == 0, value


def test_the_digest_of_a_long_value_is_not_a_value(client: Client, recording: Recording) -> None:
    long = "L" * 999
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 1, active(running=1), metadata={"long": long})
    digest = sha256(f'"{long}"'.encode()).hexdigest()
    for value, found in ((long, 1), (f"sha256:{digest}", 0)):
        (item,) = client.get(f"{STATISTICS}?metadata.long={value}")["items"]
        assert item["episodes"] == found
    (item,) = client.get(f"{STATISTICS}?group_by=metadata.long")["items"]
    assert item["key"] == long


def test_a_creation_time_after_the_end_is_ignored(client: Client, recording: Recording) -> None:
    for group, last in (("tgrp_1", settled(completed=1)), ("tgrp_2", active(running=2))):
        recording.watch(group)
        for at, status in ((1, active(running=1)), (50, last)):
            recording.see(group, at, status, created_at="9999-01-01T00:00:00Z")
    assert client.get(STATISTICS)["items"][0]["episodes"] == 2
    assert client.get(f"{STATISTICS}?since=created")["items"][0]["episodes"] == 0


def test_estimates_with_thousands_of_equal_episodes(engine: Engine, recording: Recording, app: Flask) -> None:
    recording.watch("tgrp_0")
    recording.see("tgrp_0", 1, active(running=1), metadata={"n": 0}, created_at=after(0).isoformat())
    _copy(engine, range(1, 2101))
    client = Client(create_app(app.extensions["recorder"].engine, cohort_key="n"))
    assert client.get("/api/v1/groups/tgrp_0")["eta"]["reason"]


def test_as_of(client: Client, recording: Recording) -> None:
    assert client.get(STATISTICS) == {"as_of": None, "items": [_no_statistics()]}
    assert client.get(f"{STATISTICS}?group_by=metadata.a") == {"as_of": None, "items": []}
    assert client.get(CURVE) == {"as_of": None, "items": []}
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 1, active(running=1))
    recording.see("tgrp_1", 9, active(running=1))
    assert client.get(STATISTICS)["as_of"] == "2026-11-24T12:00:09.000000Z"
    recording.see("tgrp_1", 20, settled(completed=1))
    recording.see("tgrp_1", 30, settled(completed=1))
    assert client.get(CURVE)["as_of"] == "2026-11-24T12:00:20.000000Z"


def _no_statistics() -> Row:
    unknown = {"seconds": None, "ci95": [None, None], "bounds": [None, None]}
    counts = dict.fromkeys(("episodes", "completed", "censored"), 0)
    extremes = dict.fromkeys(("min_seconds", "max_seconds", "completed_mean_seconds"))
    return {"key": None, **counts, **dict.fromkeys(QUANTILES, unknown), **extremes}


def test_groups_without_the_key_form_a_cohort(client: Client, recording: Recording) -> None:
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 1, active(running=1))
    (item,) = client.get(f"{STATISTICS}?group_by=metadata.nobody")["items"]
    assert (item["key"], item["episodes"]) == (None, 1)


@pytest.mark.parametrize(
    ("query", "location", "message"),
    [
        ("group_by=outcome", "group_by", "running episodes have none yet"),
        ("group_by=processor", "group_by", "is not metadata.KEY"),
        ("group_by=metadata.", "group_by", "is not metadata.KEY"),
        ("group_by=metadata[]", "group_by", "is not metadata.KEY"),
        ("group_by=metadata.a&group_by=metadata.b", "group_by", "is given 2 times"),
        ("since=yesterday", "since", "can only be created"),
        ("enrolled=late", "enrolled", "can only be prospective"),
        ("from=now", "from", "is not an RFC 3339 time"),
        ("from=2026-11-24T12:00:00Z&to=2026-11-24T11:00:00Z", "to", "lies before from"),
        ("metadata=a", "metadata", "is not of the form"),
        ("metadata.=a", "metadata.", "is not of the form"),
        ("metadata[a=b", "metadata[a", "is not of the form"),
        ("metadata.a=1&metadata.a=2", "metadata.a", "is given 2 times"),
        ("metadata.a=1&metadata[a]=2", "metadata[a]", "is given 2 times"),
        ("groupby=metadata.a", "groupby", "did you mean group_by?"),
        ("limit=3", "limit", "is not a parameter here"),
        ("metadatap=1", "metadatap", "did you mean metadata?"),
        ("&".join(f"metadata.k{n}=1" for n in range(11)), "metadata", "is given for 11 keys; at most 10"),
    ],
)
def test_bad_parameters(offline: Client, query: str, location: str, message: str) -> None:
    (error,) = offline.get(f"{STATISTICS}?{query}", 422)["errors"]
    assert error["location"] == location
    assert message in error["message"]


def test_every_bad_parameter_is_named(offline: Client) -> None:
    errors = offline.get(f"{CURVE}?group_by=metadata.a&since=x&metadata=1&to=never", 422)["errors"]
    assert {error["location"] for error in errors} == {"group_by", "since", "metadata", "to"}


def test_more_than_a_thousand_cohorts_are_refused(
    client: Client, recording: Recording, engine: Engine
) -> None:
    recording.watch("tgrp_0")
    recording.see("tgrp_0", 1, settled(completed=1), metadata={"n": 0})
    _copy(engine, range(1, 1000))
    recording.watch("tgrp_without_key", 2)
    recording.see("tgrp_without_key", 3, settled(completed=1))
    items = client.get(f"{STATISTICS}?group_by=metadata.n")["items"]
    assert len(items) == 1001 and items[-1]["key"] is None
    _copy(engine, range(1000, 1001))
    (error,) = client.get(f"{STATISTICS}?group_by=metadata.n", 422)["errors"]
    assert error["location"] == "group_by"
    assert error["message"].startswith("has more than 1,000 values")


def _copy(engine: Engine, numbers: range) -> None:
    """Copy the derived rows of the first group, each with another value of its label."""
    with writing(engine) as connection:
        for table in (episodes, group_labels, labelled_durations):
            query = select(table).where(table.c.taskgroup_id == "tgrp_0")
            first = connection.execute(query).mappings().first()
            if first is None:
                continue
            values = ({} if table is episodes else {"value": str(number)} for number in numbers)
            copies = [
                {**first, **value, "taskgroup_id": f"tgrp_{number}"}
                for number, value in zip(numbers, values, strict=True)
            ]
            connection.execute(insert(table), copies)
