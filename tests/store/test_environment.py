"""libpq's environment variables do not affect what is written or read."""

from __future__ import annotations

import pytest

from recorder.audit.verify.runner import verify
from recorder.audit.verify.tasks import tasks_of
from recorder.store.engine import check_url, open_engine
from recorder.store.history import HistoryFilter, Item, read_history
from recorder.store.transactions import reading
from tests.support.recording import Recording, active, after

NAME = "grüße 日"
ENVIRONMENTS = {"PGTZ": "America/New_York", "PGDATESTYLE": "German", "PGCLIENTENCODING": "LATIN1"}


def _items(url: str) -> list[Item]:
    engine = open_engine(check_url(url), read_only=True)
    with reading(engine) as connection:
        items = read_history(connection, NAME, HistoryFilter(), 10)
    assert [piece.findings for piece in verify(engine, tasks_of(engine))] == [()]
    engine.dispose()
    return items


@pytest.mark.parametrize("variable", ENVIRONMENTS)
@pytest.mark.parametrize("written", [False, True])
def test_environment_does_not_matter(
    database_url: str, monkeypatch: pytest.MonkeyPatch, variable: str, written: bool
) -> None:
    if written:
        monkeypatch.setenv(variable, ENVIRONMENTS[variable])
    engine = open_engine(check_url(database_url))
    recording = Recording(engine)
    recording.watch(NAME)
    recording.see(NAME, 10, active(running=2), metadata={"ü": "日"}, created_at="0999-11-24T12:16:00Z")
    engine.dispose()
    monkeypatch.setenv(variable, ENVIRONMENTS[variable])
    read = _items(database_url)
    monkeypatch.delenv(variable)
    assert [dict(item.columns) for item in read] == [dict(item.columns) for item in _items(database_url)]
    assert [item.at for item in read] == [after(0), after(10)]
    assert read[1].columns["created_at"] == "0999-11-24T12:16:00.000000Z"
