"""What `attach` delivers arrives in the recorder's database, by every way, and counts once."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import parallel
import pytest
from sqlalchemy import Engine

from api.app import create_app
from api.enrolling import EnrolmentDatabase
from recorder.clock import utc_now
from recorder.ledger.entries import Action
from recorder.ledger.watch import WatchState
from recorder.polling.db_writer import DatabaseWriter
from recorder.polling.enrol_job import EnrolJob
from recorder.sdk import attach
from recorder.sdk.courier import UndeliverableError
from recorder.sdk.database import Database
from recorder.sdk.destinations import Folder
from recorder.sdk.spool import Spool, spool_folder
from recorder.simulator import SimulatorSettings
from recorder.store.batches import Deadline
from recorder.store.enrolment import cease_watching
from recorder.store.groups import find_group
from recorder.store.transactions import reading
from recorder.tokens import Scope, new_token
from tests.support.postgres import free_port
from tests.support.recording import RULES
from tests.support.simulator import SIMULATOR_KEY, simulating
from tests.support.wsgi_server import serving

INPUTS: list[Any] = [{"input": "who?", "processor": "lite"}] * 3
SECRET, TOKEN = new_token("batches", Scope.ENROL)


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in [name for name in os.environ if name.startswith(("RECORDER_", "PARALLEL_"))]:
        monkeypatch.delenv(name)
    return tmp_path / "state"


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with simulating(SimulatorSettings(port=0, api_key=SIMULATOR_KEY)) as url:
        yield url


@pytest.fixture
def client(provider: str) -> Iterator[parallel.Parallel]:
    with parallel.Parallel(api_key=SIMULATOR_KEY, base_url=provider) as client:
        yield client


def _state(engine: Engine, taskgroup_id: str) -> tuple[WatchState, int | None] | None:
    with reading(engine) as connection:
        group = find_group(connection, taskgroup_id)
    return None if group is None else (group.watch.state, group.watch.expected.runs)


@contextmanager
def _api(engine: Engine, port: int = 0) -> Iterator[str]:
    database = EnrolmentDatabase(engine, RULES)
    with serving(create_app(engine, tokens=[TOKEN], enrolment=database), port) as url:
        yield url


def test_groups_and_runs_arrive_through_the_api_once(client: parallel.Parallel, engine: Engine) -> None:
    with _api(engine) as url:
        attachments = [attach(client, to=url, token=SECRET), attach(client, to=f"{url}/", token=SECRET)]
        group = client.task_group.create().task_group_id
        client.task_group.add_runs(group, inputs=INPUTS)
        client.task_group.add_runs(group, inputs=INPUTS[:1])
        assert all(attachment.flush() for attachment in attachments)
        assert _state(engine, group) == (WatchState.WATCHING, 4)
        cease_watching(
            engine,
            group,
            Action.STOPPED,
            actor="bob",
            note=None,
            now=utc_now,
            deadline=Deadline(0),
        )
        client.task_group.add_runs(group, inputs=INPUTS[:1])
        assert all(attachment.flush() for attachment in attachments)
        assert _state(engine, group) == (WatchState.WATCHING, 5)
        for attachment in attachments:
            attachment.detach()


def test_a_group_created_while_the_api_is_away_arrives_when_it_is_there(
    client: parallel.Parallel, engine: Engine
) -> None:
    port = free_port()
    attachment = attach(client, to=f"http://127.0.0.1:{port}", token=SECRET)
    group = client.task_group.create().task_group_id
    client.task_group.add_runs(group, inputs=INPUTS)
    assert not attachment.flush(0.1)
    with _api(engine, port):
        assert attachment.flush(30)
    attachment.detach()
    assert _state(engine, group) == (WatchState.WATCHING, 3)


def test_what_was_handed_over_last_is_delivered_by_the_end(client: parallel.Parallel, engine: Engine) -> None:
    with _api(engine) as url:
        attachment = attach(client, to=url, token=SECRET)
        group = client.task_group.create().task_group_id
        client.task_group.add_runs(group, inputs=INPUTS)
        attachment.detach()
    assert _state(engine, group) == (WatchState.WATCHING, 3)
    assert list(spool_folder(url).iterdir()) == []


def test_groups_and_runs_arrive_in_a_database_once(
    client: parallel.Parallel, engine: Engine, database_url: str
) -> None:
    attachment = attach(client, to=database_url)
    group = client.task_group.create().task_group_id
    client.task_group.add_runs(group, inputs=INPUTS)
    assert attachment.flush(60)
    attachment.detach()
    assert _state(engine, group) == (WatchState.WATCHING, 3)
    records = [{"taskgroup_id": group, "add_runs": 1, "key": "k"}, {"taskgroup_id": "a/b", "key": "l"}]
    for _ in range(2):
        Database(database_url).deliver(records)
    assert _state(engine, group) == (WatchState.WATCHING, 4)


def test_a_database_that_cannot_be_used(
    client: parallel.Parallel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UndeliverableError, match="cannot be used"):
        Database(f"sqlite:///{tmp_path}/no/folder.db").deliver([{"taskgroup_id": "a", "key": "k"}])


BAD_LINE = "/tmp/recorder-sdk-x/created.ndjson, line 2: taskgroup_id contains '/'"


@pytest.mark.parametrize(
    "ended",
    [
        (0, "Warning: created the tables", None),
        (1, f"Error: {BAD_LINE}", None),
        (1, f"Error: {BAD_LINE}\nError: the database cannot be used: locked", "locked"),
        (2, "Error: RECORDER_LEASE: too short", "RECORDER_LEASE"),
        (0, "Error: reported although the exit status was lost", "lost"),
        (1, "No module named recorder", "No module named recorder"),
        (3, "", "exit status 3"),
    ],
)
def test_how_the_command_ended(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    ended: tuple[int, str, str | None],
) -> None:
    status, printed, outcome = ended
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nprintf %s '{printed.replace(chr(39), chr(34))}' >&2\nexit {status}\n")
    program.chmod(stat.S_IRWXU)
    monkeypatch.setattr(sys, "executable", str(program))
    records = [{"taskgroup_id": "a", "key": "k"}, {"taskgroup_id": "a/b", "key": "l"}]
    if outcome is None:
        Database("sqlite:////tmp/recorder.db").deliver(records)
    else:
        with pytest.raises(UndeliverableError, match=outcome):
            Database("sqlite:////tmp/recorder.db").deliver(records)
    refused = ['the recorder refuses a/b: taskgroup_id contains "/"']
    assert caplog.messages == (refused if outcome is None and status else [])


def test_relative_addresses_do_not_depend_on_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Database("sqlite:///recorder.db").name == f"sqlite:///{tmp_path}/recorder.db"
    assert Database("sqlite:////var/recorder.db").name == "sqlite:////var/recorder.db"
    assert Folder(Path("spool")).name == f"{tmp_path}/spool"


def _take_in(engine: Engine, folder: Path) -> None:
    async def run() -> None:
        job = EnrolJob(folder, DatabaseWriter(engine), actor="ada", now=utc_now, rules=RULES)
        await job.run()
        job.close()

    asyncio.run(run())


def test_groups_and_runs_arrive_through_a_folder_once(
    client: parallel.Parallel, engine: Engine, tmp_path: Path
) -> None:
    attachment = attach(client, to=tmp_path / "enrol")
    group = client.task_group.create().task_group_id
    client.task_group.add_runs(group, inputs=INPUTS)
    assert attachment.flush()
    attachment.detach()
    for _ in range(2):
        _take_in(engine, tmp_path / "enrol")
    assert _state(engine, group) == (WatchState.WATCHING, 3)


def test_a_line_that_a_full_disk_cut_off_spoils_no_other(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.deliver([{"taskgroup_id": "a", "key": "k"}])
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes() + b'{"taskgroup_id":"hal')
    folder.deliver([{"taskgroup_id": "b", "key": "l"}])
    assert path.read_text().splitlines() == [
        '{"taskgroup_id":"a","key":"k"}',
        '{"taskgroup_id":"hal',
        '{"taskgroup_id":"b","key":"l"}',
    ]


def test_a_folder_that_cannot_be_written_keeps_its_records_waiting(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "enrol")
    (tmp_path / "enrol").rmdir()
    with pytest.raises(UndeliverableError):
        folder.deliver([{"taskgroup_id": "a", "key": "k"}])


def test_a_full_spool_keeps_whole_lines_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path)
    spool.append([{"taskgroup_id": "a", "key": "k"}])

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            spool.append([{"taskgroup_id": "b", "key": "k"}])
    spool.append([{"taskgroup_id": "c", "key": "k"}])
    spool.close()
    found = [record["taskgroup_id"] for records, _ in Spool(tmp_path).left_by_others() for record in records]
    assert found == ["a", "c"]


def test_a_fork_leaves_the_spool_of_its_parent_alone(
    client: parallel.Parallel, caplog: pytest.LogCaptureFixture
) -> None:
    to = f"http://127.0.0.1:{free_port()}"
    with caplog.at_level(logging.CRITICAL):
        attachment = attach(client, to=to)
        client.task_group.create()
        _until(lambda: len(_spooled(to)) == 1)
        child = os.fork()
        if child == 0:
            client.task_group.create()
            attachment.detach()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert len(_spooled(to)) == 2
        attachment.detach()
    assert len(_spooled(to)) == 2


def _spooled(to: str) -> list[str]:
    return [line for path in spool_folder(to).glob("*") for line in path.read_text().splitlines()]


def _until(holds: Callable[[], bool]) -> None:
    async def wait() -> None:
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.01)

    asyncio.run(wait())
