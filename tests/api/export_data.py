"""Groups to export, and parsers for the exported formats."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import Engine

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
CSV_CELLS = [
    *("'=1+1", "'+1", "'-1", "'@x", "'\tx", "'\rx", 'a"b,c', "two\r\nlines\nthree", ""),
    *("a\ufffdb", "😀 ü", "'x", " =1"),
]
"""The texts of `HOSTILE` as they appear in CSV."""


def populate(engine: Engine) -> None:
    """Record a variety of groups; tgrp_1 has hostile texts, and its last episode and last gap are open."""
    recording = Recording(engine)
    for number, name in enumerate(("tgrp_1", "=cmd()", "ä, b", "tgrp_never")):
        recording.watch(name, number)
    for number, message in enumerate(HOSTILE):
        status = {**active(running=number + 1), "status_message": message}
        recording.see("tgrp_1", 4 + number, status, metadata={"k,": message, "n": number})
    recording.see("tgrp_1", 20, settled(completed=13))
    recording.fail("tgrp_1", 22)
    recording.see("tgrp_1", 80.000001, active(completed=13, running=2), created_at="2026-11-24T11:00:00.5Z")
    recording.fail("tgrp_1", 85)
    recording.see("tgrp_1", 150, settled(completed=14, failed=1))
    recording.see("tgrp_1", 151, active(completed=14, failed=1, running=1))
    recording.see("ä, b", 152, active(queued=1), metadata=-5)
    recording.pause("ä, b", 153)


def csv_rows(flask_client: FlaskClient, address: str) -> list[list[str]]:
    response = flask_client.get(address, headers={"Accept": "text/csv"})
    assert response.status_code == 200, response.get_data(as_text=True)
    return list(csv.reader(io.StringIO(response.get_data(as_text=True), newline=""), strict=True))


def ndjson_items(flask_client: FlaskClient, address: str) -> list[Any]:
    response = flask_client.get(address, headers={"Accept": "application/x-ndjson"})
    assert response.status_code == 200, response.get_data(as_text=True)
    *lines, rest = response.get_data().split(b"\n")
    assert rest == b""
    return [json.loads(line) for line in lines]


def stream(flask_client: FlaskClient, address: str) -> tuple[Any, Iterator[bytes]]:
    response = flask_client.get(address)
    return response, response.iter_encoded()
