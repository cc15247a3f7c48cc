"""A ledger with whatever a provider may say and a recorder may miss, for readers that must cope with it."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Engine

from recorder.ledger.poll_outcome import Cause
from recorder.ledger.status_fields import RUN_STATUSES
from tests.support.recording import Recording, active, after, settled

LONG = "long " * 100
HUGE = "12345678901234567890123"
METADATA: dict[str, Any] = {
    "m_number": {"customer": 42},
    "m_text": {"customer": "42"},
    "m_true": {"customer": True},
    "m_true_text": {"customer": "true"},
    "m_whole": {"customer": 1.0},
    "m_one": {"customer": "1"},
    "m_fraction": {"customer": 0.1, "phase": "a member", LONG: LONG},
    "m_null": {"customer": None},
    "m_nested": {"customer": {"id": [1, "two"]}, "😀 \"k'\\u0000": "x"},
    "m_long": {"customer": LONG},
    "m_emoji": {"customer": "😀 \u2028\u0085\0 end", "": ""},
    "m_none": None,
    "m_list": [1, 2],
}
"""Metadata by group."""
VALUES = {
    "m_number": ("42", "number"),
    "m_text": ("42", "string"),
    "m_true": ("true", "boolean"),
    "m_true_text": ("true", "string"),
    "m_whole": ("1", "number"),
    "m_one": ("1", "string"),
    "m_fraction": ("0.1", "number"),
    "m_long": (LONG, "string"),
    "m_emoji": ("😀 \u2028\u0085\ufffd end", "string"),
    "m_huge": (HUGE, "number"),
    "tgrp_1": ("acme", "string"),
}
"""The value of `customer` and its JSON type, by group, of the groups where it is a scalar."""


def record_hostile(engine: Engine) -> None:
    """Record groups with odd metadata and odd statuses, a long gap, open gaps and a group never seen.

    `tgrp_1` has one status from second 1 to second 640, then a gap to second 7201.
    """
    recording = Recording(engine)
    recording.watch("tgrp_1")
    every = {**active(**dict.fromkeys(RUN_STATUSES, 1)), "status_message": "at work"}
    members = {"metadata": {"customer": "acme", "phase": "draft"}, "created_at": "2026-11-24T11:59:00Z"}
    recording.see("tgrp_1", 1, every, surprise=True, **members)
    for seconds in range(40, 641, 40):
        recording.see("tgrp_1", seconds, every, surprise=True, **members)
    recording.fail("tgrp_1", 652, Cause.TIMEOUT)
    recording.see("tgrp_1", 7201, settled(completed=7), **members)
    for number, (name, metadata) in enumerate(METADATA.items()):
        recording.watch(name, 10 + number)
        recording.see(name, 30 + number, active(running=2, completed=number), metadata=metadata)
    body = json.dumps({"metadata": {"customer": 0}, "status": {**active(running=1), "num_task_runs": 0}})
    recording.watch("m_huge", 50)
    recording.see_raw("m_huge", 51, body.replace(": 0", f": {HUGE}"))
    recording.watch("tgrp_2", 60)
    recording.see("tgrp_2", 61, {"num_task_runs": None, "task_run_status_counts": [1], "is_active": 1})
    for seconds in (72, 82, 92, 102):
        recording.fail("tgrp_2", seconds)
    recording.see("tgrp_2", 112, settled(completed=5))
    recording.pause("tgrp_2", 115)
    recording.watch("tgrp_every", 76)
    named = {"phase": "a member", "observed_at": 1, "status.num_task_runs": "odd"}
    recording.see("tgrp_every", 77, {**every, **named}, created_at=members["created_at"])
    recording.watch("tgrp_never", 80)
    recording.expect("tgrp_never", 81, runs=500, by=after(9000))
