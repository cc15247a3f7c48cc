"""Checkpoints: writing, reading and digesting the heads of all ledgers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from recorder.audit.checkpoints import (
    BrokenHeadError,
    CheckpointError,
    CheckpointHead,
    checkpoint_digest,
    checkpoint_lines,
    digest_of_heads,
    read_checkpoint,
    read_heads,
)
from recorder.store.transactions import reading, writing
from tests.support.databases import ON_SQLITE
from tests.support.exports import IDS, ODD, exported, record, verified
from tests.support.recording import Recording, active

HOSTILE = [*IDS, "[red]", "-h", "%s", "{}", "a b", "\N{NO-BREAK SPACE}", "é", "g" * 255]
DIGEST = "0123456789abcdef" * 4
GOOD: dict[str, Any] = {
    "taskgroup_id": "one",
    "seq": 2,
    "digest": DIGEST,
    "last_seen_at": "2026-11-24T12:00:01.000000Z",
    "polls": 3,
}


def _heads(engine: Engine) -> list[CheckpointHead]:
    with reading(engine) as connection:
        return list(read_heads(connection))


def _lines(heads: Sequence[CheckpointHead]) -> list[bytes]:
    return list(checkpoint_lines(heads))


@pytest.mark.ledger(fill=record)
def test_the_heads_are_the_newest_entries_of_an_export(engine: Engine) -> None:
    digests = [json.loads(line) for line in exported(engine).splitlines()]
    expected = [
        {
            "taskgroup_id": taskgroup_id,
            "seq": len(records),
            "digest": digests[place - 1]["digest"],
            "last_seen_at": opened["last_seen_at"],
            "polls": opened["polls"],
        }
        for place, (taskgroup_id, (records, opened)) in zip(
            (place for place, line in enumerate(digests) if "open" in line),
            verified(exported(engine)).items(),
            strict=True,
        )
    ]
    assert [json.loads(line) for line in _lines(_heads(engine))] == expected
    assert [(head["taskgroup_id"], head["polls"]) for head in expected] == [
        (ODD, None),
        ("never", None),
        ("one", 1),
        ("seen once", None),
    ]


def test_heads_are_sorted_by_the_bytes_of_their_ids(engine: Engine) -> None:
    recording = Recording(engine)
    for taskgroup_id in HOSTILE:
        recording.watch(taskgroup_id)
    heads = _heads(engine)
    assert [head.taskgroup_id for head in heads] == sorted(HOSTILE, key=str.encode)
    assert read_checkpoint(_lines(heads)) == {head.taskgroup_id: head for head in heads}


def test_heads_can_be_read_page_by_page(engine: Engine) -> None:
    recording = Recording(engine)
    for taskgroup_id in HOSTILE:
        recording.watch(taskgroup_id)
    found: list[CheckpointHead] = []
    with reading(engine) as connection:
        while page := list(read_heads(connection, after=found[-1].taskgroup_id if found else None, most=4)):
            found += page
    assert found == _heads(engine)


@pytest.mark.ledger(fill=record)
def test_the_digest_of_the_heads_is_that_of_their_checkpoint(engine: Engine) -> None:
    for taskgroup_id in HOSTILE[len(IDS) :]:
        Recording(engine).watch(taskgroup_id, 1)
    with reading(engine) as connection:
        assert digest_of_heads(connection) == checkpoint_digest(_lines(_heads(engine)))


@pytest.mark.parametrize(
    "head",
    [
        "head_seq = 1, head_digest = (SELECT digest FROM entries WHERE seq = 1)",
        f"head_digest = '{'0' * 64}'",
        "head_seq = 9",
    ],
)
def test_a_head_that_is_not_the_newest_entry_has_no_digest(engine: Engine, head: str) -> None:
    recording = Recording(engine)
    recording.watch("one")
    recording.see("one", 5, active(running=1))
    with writing(engine) as connection:
        connection.exec_driver_sql(f"UPDATE watches SET {head}")
    for read in (digest_of_heads, lambda connection: list(read_heads(connection))):
        with reading(engine) as connection, pytest.raises(BrokenHeadError, match="one: its watch row"):
            read(connection)


@ON_SQLITE
def test_a_time_that_is_none_has_no_digest(engine: Engine) -> None:
    recording = Recording(engine)
    recording.watch("one")
    recording.see("one", 5, active(running=1))
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE watches SET last_seen_at = '2026-11-24 noon'")
    for read in (digest_of_heads, lambda connection: list(read_heads(connection))):
        with (
            reading(engine) as connection,
            pytest.raises(BrokenHeadError, match="a watch row cannot be read"),
        ):
            read(connection)


def test_a_checkpoint_without_groups_is_empty(engine: Engine) -> None:
    assert _heads(engine) == []
    with reading(engine) as connection:
        assert digest_of_heads(connection) == checkpoint_digest([])
    assert read_checkpoint([]) == {}
    assert checkpoint_digest([]) == hashlib.sha256(b"").hexdigest()


_times = st.datetimes(timezones=st.just(UTC))
_seen = st.tuples(_times, st.integers(1, 2**53)) | st.just((None, None))
_written: st.SearchStrategy[list[tuple[str, int, str, tuple[datetime | None, int | None]]]] = st.lists(
    st.tuples(
        st.text(st.characters(categories=("L", "N", "P", "S", "Zs"), exclude_characters="/."), min_size=1),
        st.integers(1, 2**53),
        st.text("0123456789abcdef", min_size=64, max_size=64),
        _seen,
    ),
    unique_by=lambda head: head[0],
    max_size=5,
)


@given(_written)
def test_heads_survive_a_round_trip(
    written: list[tuple[str, int, str, tuple[datetime | None, int | None]]],
) -> None:
    heads = [CheckpointHead(name, seq, digest, *seen) for name, seq, digest, seen in written]
    lines = _lines(heads)
    assert all(line.count(b"\n") == 1 and line.endswith(b"\n") for line in lines)
    assert read_checkpoint(lines) == {head.taskgroup_id: head for head in heads}
    assert read_checkpoint(b"".join(lines).splitlines()) == read_checkpoint(lines)
    assert checkpoint_digest(lines) == hashlib.sha256(b"".join(lines)).hexdigest()


BAD: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"Dear diary,", "line 2 "),
    "an empty line": (b"", "line 2 "),
    "half a line": (json.dumps(GOOD).encode()[:-5], "line 2 "),
    "invalid UTF-8": (b'{"taskgroup_id":"\xff"}', "line 2 "),
    "not an object": (b"[]", "it must be an object"),
    "null": (b"null", "it must be an object"),
    **{
        name: (json.dumps({**GOOD, "taskgroup_id": "two", **members}).encode(), words)
        for name, members, words in [
            ("a foreign member", {"note": 1}, "it must be an object of taskgroup_id, seq, digest"),
            ("an id that is not text", {"taskgroup_id": 2}, "of another type"),
            ("a number that is text", {"seq": "2"}, "of another type"),
            ("a number that is true", {"seq": True}, "of another type"),
            ("no such number", {"seq": 0}, "of another type"),
            ("half a number", {"seq": 1.5}, "of another type"),
            ("no digest", {"digest": None}, "of another type"),
            ("half a digest", {"digest": DIGEST[:-1]}, "64 hexadecimal digits"),
            ("a digest in upper case", {"digest": DIGEST.upper()}, "64 hexadecimal digits"),
            ("a digest with an end of line", {"digest": DIGEST[:-1] + "\n"}, "64 hexadecimal digits"),
            ("no polls", {"polls": None}, "go together"),
            ("no time", {"last_seen_at": None}, "go together"),
            ("polls that are text", {"polls": "3"}, "go together"),
            ("polls below 1", {"polls": 0}, "go together"),
            ("no such time", {"last_seen_at": "noon"}, "not an RFC 3339 time"),
            ("a time that is a number", {"last_seen_at": 1}, "line 2 "),
        ]
    },
    "a member missing": (
        json.dumps({name: value for name, value in GOOD.items() if name != "polls"}).encode(),
        "it must be an object of",
    ),
    "a group twice": (json.dumps(GOOD).encode(), "line 2 names 'one' for the second time"),
}


@pytest.mark.parametrize("name", BAD)
def test_errors_name_the_number_of_the_bad_line(name: str) -> None:
    line, words = BAD[name]
    with pytest.raises(CheckpointError) as found:
        read_checkpoint([json.dumps(GOOD).encode() + b"\n", line + b"\n"])
    assert str(found.value).startswith("line 2 ")
    assert words in str(found.value)
    assert len(read_checkpoint([json.dumps(GOOD).encode()])) == 1
