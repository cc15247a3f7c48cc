"""Rows are found by keys of two columns through the index of these, however large the table is."""

from __future__ import annotations

from typing import Any, cast

import pytest
from sqlalchemy import Engine, Select, select

from recorder.store.given_keys import rows_with
from recorder.store.history import ITEMS
from recorder.store.tables import entries, request_keys
from recorder.store.transactions import reading
from tests.support.plans import Explaining
from tests.support.recording import Recording, active

NAMES = ["tgrp_1", "a b", "é\"'", "tgrp_2"]


@pytest.mark.parametrize("statement", [ITEMS, select(entries.c.taskgroup_id)], ids=["items", "plain"])
def test_rows_are_found_by_their_primary_key(engine: Engine, statement: Select[Any]) -> None:
    columns = (entries.c.taskgroup_id, entries.c.seq)
    with reading(engine) as connection:
        explaining = cast(Any, Explaining(connection))
        rows_with(explaining, statement, columns, [("tgrp_1", 2), ("tgrp_2", 7)])
    used = "PRIMARY KEY (taskgroup_id=? AND seq=?)" if engine.dialect.name == "sqlite" else "pk_entries"
    assert used in explaining.plans
    assert "SCAN entries" not in explaining.plans


def test_the_rows_are_those_of_the_keys(engine: Engine) -> None:
    recording = Recording(engine)
    for name in NAMES:
        recording.watch(name)
        recording.see(name, 10, active(running=1))
    wanted = [(NAMES[1], 2), (NAMES[2], 1), (NAMES[0], 3)]
    found = select(entries.c.taskgroup_id, entries.c.seq)
    with reading(engine) as connection:
        rows = rows_with(connection, found, (entries.c.taskgroup_id, entries.c.seq), wanted).all()
        none = rows_with(
            connection, select(request_keys), (request_keys.c.taskgroup_id, request_keys.c.key), wanted[:1]
        )
        assert none.all() == []
    assert sorted(map(tuple, rows)) == sorted(wanted[:2])
