"""What the tests of exports share: groups of every sort, and reading what was exported."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from flask.testing import FlaskClient

from tests.support.recording import Recording, active, settled

GROUPS = "/api/v1/groups"
GROUP = f"{GROUPS}/tgrp_1"
VIEWS = {
    GROUPS: ("latest_status", "ORDER BY taskgroup_id"),
    f"{GROUP}/history": ("status_history", "WHERE taskgroup_id = 'tgrp_1' ORDER BY seq"),
    f"{GROUP}/gaps": ("observation_gaps", "WHERE taskgroup_id = 'tgrp_1' ORDER BY seq"),
    f"{GROUP}/completion": ("group_completion", "WHERE taskgroup_id = 'tgrp_1' ORDER BY episode"),
}
HOSTILE = [
    "=1+1",
    "+1",
    "-1",
    "@x",
    "\tx",
    "\rx",
    'a"b,c',
    "two\r\nlines\nthree",
    "",
    "a\0b",
    "😀 ü",
    "'x",
    " =1",
]
SHOWN = [
    *("'=1+1", "'+1", "'-1", "'@x", "'\tx", "'\rx", 'a"b,c', "two\r\nlines\nthree", ""),
    *("a\ufffdb", "😀 ü", "'x", " =1"),
]
"""The same as cells of a CSV."""


def fill(recording: Recording) -> None:
    """Record groups of every sort; one with odd texts, episodes and gaps, the last of each open."""
    for number, name in enumerate(("tgrp_1", "=cmd()", "ä, b", "tgrp_never")):
        recording.watch(name, number)
    for number, message in enumerate(HOSTILE):
        said = {**active(running=number + 1), "status_message": message}
        recording.see("tgrp_1", 4 + number, said, metadata={"k,": message, "n": number})
    recording.see("tgrp_1", 20, settled(completed=13))
    recording.fail("tgrp_1", 22)
    recording.see("tgrp_1", 80.000001, active(completed=13, running=2), created_at="2026-11-24T11:00:00.5Z")
    recording.fail("tgrp_1", 85)
    recording.see("tgrp_1", 150, settled(completed=14, failed=1))
    recording.see("tgrp_1", 151, active(completed=14, failed=1, running=1))
    recording.see("ä, b", 152, active(queued=1), metadata=-5)
    recording.pause("ä, b", 153)


def table_of(asking: FlaskClient, address: str) -> list[list[str]]:
    answer = asking.get(address, headers={"Accept": "text/csv"})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return list(csv.reader(io.StringIO(answer.get_data(as_text=True), newline=""), strict=True))


def items_of(asking: FlaskClient, address: str) -> list[Any]:
    answer = asking.get(address, headers={"Accept": "application/x-ndjson"})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    *lines, rest = answer.get_data().split(b"\n")
    assert rest == b""
    return [json.loads(line) for line in lines]


def parts_of(asking: FlaskClient, address: str) -> tuple[Any, Iterator[bytes]]:
    answer = asking.get(address)
    return answer, answer.iter_encoded()
