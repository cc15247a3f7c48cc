"""The folder that running recorders take in: each line once, and nothing is lost while it cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, update
from structlog.testing import capture_logs

from recorder.polling.db_writer import DatabaseWriter
from recorder.polling.enrol_job import EnrolJob
from recorder.store.groups import states_of
from recorder.store.history import read_entries
from recorder.store.tables import watches
from recorder.store.transactions import DatabaseUnavailableError, reading, writing
from tests.support.store_samples import RULES, at, claim_one, enrol

LINE = '{"taskgroup_id":"%s","add_runs":2,"key":"k"}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "enrol"
    path.mkdir()
    return path


def _append(folder: Path, *names: str) -> None:
    with (folder / "1.ndjson").open("a") as file:
        file.writelines(LINE % name for name in names)


def _job(engine: Engine, folder: Path) -> EnrolJob:
    return EnrolJob(folder, DatabaseWriter(engine), actor="ada", now=lambda: at(5), rules=RULES)


def _run(job: EnrolJob, *steps: Callable[[], object]) -> None:
    """Run the job, and once more after each step."""

    async def run() -> None:
        await job.run()
        for step in steps:
            step()
            await job.run()

    asyncio.run(run())


def _entries(engine: Engine, name: str) -> int:
    with reading(engine) as connection:
        return len(list(read_entries(connection, name)))


def test_two_recorders_take_in_a_folder_once(engine: Engine, folder: Path) -> None:
    _append(folder, "a", "b")
    (folder / "2.ndjson").write_text("nonsense\n")
    jobs = _job(engine, folder), _job(engine, folder)

    async def run() -> None:
        await asyncio.gather(*(job.run() for job in jobs))

    with capture_logs() as log:
        asyncio.run(run())
    assert [_entries(engine, name) for name in "ab"] == [2, 2]
    assert sorted(line["taskgroup_id"] for line in log if line["event"] == "enrolled") == ["a", "b"]
    complaints = [line["reason"] for line in log if line["log_level"] == "error"]
    assert complaints == [f"{folder}/2.ndjson, line 1: is not JSON"] * 2


def test_a_group_that_is_being_polled_waits_and_the_others_do_not(engine: Engine, folder: Path) -> None:
    enrol(engine, "a")
    claim_one(engine, "a", 1)
    _append(folder, "a", "b")

    def end_poll() -> None:
        assert (_entries(engine, "a"), _entries(engine, "b")) == (1, 2)
        with writing(engine) as connection:
            connection.execute(update(watches).values(owner=None, lease_until=None))

    _run(_job(engine, folder), end_poll)
    assert _entries(engine, "a") == 2


def test_nothing_is_lost_while_the_database_is_away(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _append(folder, "a")
    job = _job(engine, folder)

    async def run() -> None:
        with monkeypatch.context() as patch:
            patch.setattr("recorder.polling.db_writer.writing", _unavailable)
            with capture_logs(), pytest.raises(DatabaseUnavailableError):
                await job.run()
        await job.run()

    asyncio.run(run())
    assert _entries(engine, "a") == 2


def _unavailable(_: Engine) -> None:
    raise DatabaseUnavailableError("away")


def test_a_folder_that_goes_away_is_reported_once(engine: Engine, folder: Path) -> None:
    def come_back() -> None:
        folder.mkdir()
        _append(folder, "a")

    folder.rmdir()
    with capture_logs() as log:
        _run(_job(engine, folder), lambda: None, come_back)
    assert [line["event"] for line in log] == ["cannot read the enrolment folder", "enrolled"]
    with reading(engine) as connection:
        assert set(states_of(connection, ["a"])) == {"a"}
