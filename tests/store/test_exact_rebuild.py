"""Any JSON body from an upstream is rebuilt exactly, with the same chain on both databases."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from recorder.ledger.entries import Entry, StatusContent
from recorder.ledger.poll_outcome import Observation
from recorder.ledger.response_body import parse_body
from recorder.ledger.transitions import observe
from recorder.store.engine import check_url, open_engine
from recorder.store.enrolment import watch_group
from recorder.store.history import HistoryFilter, Item, StatusItem, read_entries, read_history
from recorder.store.leases import PollResult, claim_due, write_results
from recorder.store.transactions import reading, writing
from tests.store.brute_force import view
from tests.support.databases import postgres_database, sqlite_database
from tests.support.examples import examples
from tests.support.json_texts import bodies, is_exact, json_text, view_values
from tests.support.store_samples import LEASE, RULES, at

NAMES = st.text(st.characters(categories=("L", "N", "P", "S", "Zs"), exclude_characters="/"), max_size=240)
SPELLINGS = st.sampled_from([(False,), (True,), (False, True), (True, True)])
"""Whether non-ASCII characters are escaped, for each of one or two responses with the same body."""
NOTE = "é 𝄞"
_numbers = count(1)


@pytest.fixture(scope="module")
def engines(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, postgres: str, postgres_template: str
) -> Iterator[list[Engine]]:
    """Engines for one database of each kind."""
    path = tmp_path_factory.mktemp("rebuild") / "recorder.db"
    with (
        sqlite_database(path, sqlite_template) as file,
        postgres_database(postgres, "exact_rebuild", postgres_template) as database,
    ):
        urls = [file, database]
        engines = [open_engine(check_url(url)) for url in urls]
        yield engines
        for engine in engines:
            engine.dispose()


class Span(NamedTuple):
    """A body seen from poll number `first` to number `last`, with the text of the first response."""

    body: Any
    text: str
    first: int
    last: int


@settings(
    max_examples=examples(2), deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(name=NAMES, data=st.data())
def test_any_body_is_rebuilt_the_same_on_both_databases(
    engines: list[Engine], name: str, data: st.DataObject
) -> None:
    taskgroup_id = f"{next(_numbers)} {name}"
    answers = st.tuples(bodies(st.just(taskgroup_id)), SPELLINGS)
    drawn = data.draw(st.lists(answers, min_size=1, max_size=3))
    polls = [(body, json_text(body, escape)) for body, spellings in drawn for escape in spellings]
    spans = _spans_of(polls)
    found = []
    for engine in engines:
        _record(engine, taskgroup_id, [text for _, text in polls])
        with reading(engine) as connection:
            entries = list(read_entries(connection, taskgroup_id))
            items = read_history(connection, taskgroup_id, HistoryFilter(), 100)
            rows = view(connection, "status_history", taskgroup_id)
        _check_bodies(entries, items, spans)
        _check_columns(rows, spans)
        _check_chain(entries, taskgroup_id, spans)
        found.append((repr(entries), repr(items), _plain(rows)))
    assert found[0] == found[1]


def _record(engine: Engine, taskgroup_id: str, texts: Sequence[str]) -> None:
    """Record one response per text, ten seconds apart, as a recorder would."""
    watch_group(engine, taskgroup_id, actor="ann", note=NOTE, now=lambda: at(0), rules=RULES)
    with writing(engine) as connection:
        for number, text in enumerate(texts, start=1):
            now = at(10 * number)
            claims = claim_due(connection, owner="one", now=now, lease_until=now + LEASE, limit=1000)
            claim = next(claim for claim in claims if claim.watch.taskgroup_id == taskgroup_id)
            seen = Observation(at(10 * number - 0.5), now, parse_body(text.encode()))
            step = observe(claim.watch, seen, RULES)
            next_poll_at = now if number < len(texts) else None
            result = PollResult(claim, step.entries, step.watch, next_poll_at, None)
            assert write_results(connection, [result]).results == [result]


def _spans_of(polls: Sequence[tuple[Any, str]]) -> list[Span]:
    """Group consecutive equal responses, compared in canonical form, or as text if there is none."""
    found: list[Span] = []
    form: bytes | str | None = None
    for number, (body, text) in enumerate(polls, start=1):
        before, form = form, rfc8785.dumps(json.loads(text)) if is_exact(body) else text
        if form == before:
            found[-1] = found[-1]._replace(last=number)
        else:
            found.append(Span(body, text, number, number))
    return found


def _check_bodies(entries: Sequence[Entry], items: Sequence[Item], spans: Sequence[Span]) -> None:
    for entry, item, (body, text, first, last) in zip(entries[1:], items[1:], spans, strict=True):
        assert isinstance(entry.content, StatusContent)
        assert isinstance(item.content, StatusItem)
        rebuilt = entry.content.body
        if is_exact(body):
            assert rebuilt.text is None
            assert rfc8785.dumps(rebuilt.value) == rfc8785.dumps(json.loads(text))
        else:
            assert rebuilt.text == text
        assert _sorted(item.content.value) == _sorted(rebuilt.value)
        assert item.content.interval.polls == last - first + 1


def _check_columns(rows: Sequence[dict[str, Any]], spans: Sequence[Span]) -> None:
    for row, (body, _, first, last) in zip(rows, spans, strict=True):
        columns = view_values(body)
        assert _plain([{name: row[name] for name in columns}]) == _plain([columns])
        assert ("inexact_number" in row["anomalies"]) is not is_exact(body)
        times = row["observed_at"], row["last_seen_at"], row["polls"]
        assert times == (_time(10 * first), _time(10 * last), last - first + 1)


def _check_chain(entries: Sequence[Entry], taskgroup_id: str, spans: Sequence[Span]) -> None:
    """Check the digests against those computed from the bodies and times that were sent."""
    watch = {"action": "started", "actor": "ann", "note": NOTE}
    records: list[dict[str, Any]] = [{"kind": "watch", "watch": watch, "at": _time(0), "previous": None}]
    previous = None
    for body, text, first, last in spans:
        upstream = {"upstream": json.loads(text)} if is_exact(body) else {"upstream_text": text}
        records.append({"kind": "status", "at": _time(10 * first), "previous": previous, **upstream})
        ended = {"last_asked_at": _time(10 * last - 0.5), "last_seen_at": _time(10 * last)}
        previous = {**ended, "polls": last - first + 1}
    digest = bytes(32)
    for seq, (entry, record) in enumerate(zip(entries, records, strict=True), start=1):
        whole = {"v": 1, "taskgroup_id": taskgroup_id, "seq": seq, **record}
        digest = hashlib.sha256(digest + rfc8785.dumps(whole)).digest()
        assert entry.digest == digest.hex()


def _time(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"2026-11-24T12:{minutes:02.0f}:{rest:09.6f}Z"


def _plain(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows as text, since 1, 1.0 and true are equal in Python; SQLite has a number for `is_active`."""
    flags = [None if row["is_active"] is None else bool(row["is_active"]) for row in rows]
    return _sorted([row | {"is_active": flag} for row, flag in zip(rows, flags, strict=True)])


def _sorted(value: Any) -> str:
    return json.dumps(_whole(value), sort_keys=True)


def _whole(value: Any) -> Any:
    """Return a value with whole numbers as integers of their shortest digits: a database spells 1e16 as it
    likes."""
    if isinstance(value, float) and value.is_integer():
        return int(Decimal(repr(value)))
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return {key: _whole(item) for key, item in value.items()} if isinstance(value, dict) else value
