"""A ledger with entries of every kind, and a reader of exports that uses none of the recorder's code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

import rfc8785
from sqlalchemy import Engine

from recorder.audit.exporter import export_lines
from recorder.ledger.entries import Action
from recorder.store.enrolment import Deadline, cease_watching
from recorder.store.transactions import reading
from tests.support.recording import Recording, active, after, settled

INEXACT = '{"status": {"x": 1e400, "task_run_status_counts": {"a\\u0000": 2}}, "é": "\\u0000"}'
ODD = "a b%ü 日本&?#"
IDS = ["B", "a", "ab", "ä", "日本", "\ufb01", "𝄞", "e\u0301", "_", "~", '"', "\\"]
"""Ids whose order differs between UTF-8, UTF-16 and language-specific collations."""


def verified(export: bytes) -> dict[str, tuple[list[dict[str, Any]], dict[str, Any]]]:
    """Recompute every digest; return the records and the open line of each group."""
    found: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {}
    records: list[dict[str, Any]] = []
    digest = bytes(32)
    for line in _lines(export):
        parsed = json.loads(line)
        if parsed.keys() == {"open"}:
            assert parsed["open"]["taskgroup_id"] == records[-1]["taskgroup_id"]
            found[parsed["open"]["taskgroup_id"]] = records, parsed["open"]
            records, digest = [], bytes(32)
            continue
        form = rfc8785.dumps(parsed["record"])
        digest = hashlib.sha256(digest + form).digest()
        assert line == b'{"record":' + form + b',"digest":"' + digest.hex().encode() + b'"}'
        records.append(parsed["record"])
        assert parsed["record"]["seq"] == len(records)
        assert parsed["record"]["taskgroup_id"] == records[0]["taskgroup_id"]
    assert records == []
    assert list(found) == sorted(found, key=str.encode)
    return found


def _lines(export: bytes) -> Iterator[bytes]:
    *lines, rest = export.split(b"\n")
    assert rest == b""
    return iter(lines)


def exported(engine: Engine, ids: Iterable[str] | None = None) -> bytes:
    with reading(engine) as connection:
        return b"".join(export_lines(connection, None if ids is None else list(ids)))


def record(engine: Engine) -> None:
    """Record four groups: one with entries of every kind, one paused, one stopped and one never seen."""
    recording = Recording(engine)
    recording.watch("one")
    recording.see("one", 1, active(queued=3), metadata={"customer": "acme", "n": 1.5})
    recording.see("one", 11, active(queued=2, running=1), metadata={"customer": "acme", "n": 1.5})
    recording.see("one", 21, active(queued=2, running=1), metadata={"customer": "acme", "n": 1.5})
    for seconds in (32, 50, 70, 90):
        recording.fail("one", seconds)
    recording.see("one", 100, settled(completed=2, failed=1), metadata={"customer": "acme", "n": 1.5})
    recording.watch(ODD, at=101)
    recording.see_raw(ODD, 102, INEXACT)
    recording.see_raw(ODD, 112, INEXACT)
    recording.pause(ODD, at=120)
    recording.watch("seen once", at=121)
    recording.see("seen once", 122, active(running=1))
    recording.watch("never", at=130)
    cease_watching(
        engine,
        "seen once",
        Action.STOPPED,
        actor="ada",
        note="\N{GRINNING FACE}",
        now=lambda: after(131),
        deadline=Deadline(0),
    )
