"""A recorder derives what an upgrade left."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Engine, select, update

from recorder.completion.summary import SUMMARY_RULES
from recorder.polling.derive_job import DeriveJob
from recorder.store import rebuilding
from recorder.store.tables import summaries
from recorder.store.transactions import reading, writing
from tests.support.recording import Recording


def _rules(engine: Engine) -> list[int]:
    with reading(engine) as connection:
        return sorted(connection.scalars(select(summaries.c.rules)))


def test_it_derives_what_is_left_until_it_is_stopped(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding, "BATCH_GROUPS", 1)
    for number in range(3):
        Recording(engine).watch(f"tgrp_{number}")
    with writing(engine) as connection:
        connection.execute(update(summaries).values(rules=0))
    stopped = DeriveJob(engine)
    stopped.close()
    assert stopped._derive() is False
    assert _rules(engine) == [0, 0, SUMMARY_RULES]
    job = DeriveJob(engine)
    asyncio.run(job.run())
    assert _rules(engine) == [SUMMARY_RULES] * 3
    # It does not look again: each group is derived with its entries.
    with writing(engine) as connection:
        connection.execute(update(summaries).values(rules=0))
    asyncio.run(job.run())
    assert _rules(engine) == [0, 0, 0]
    job.close()
