"""`attach`: with the provider's own SDK against the simulator, and the recorder's API present or away."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import parallel
import pytest

from recorder.sdk import Attachment, attach
from recorder.sdk.courier import Courier, UndeliverableError
from recorder.sdk.destinations import Api, Folder
from recorder.sdk.spool import Record, Spool, spool_folder
from recorder.sdk.tap import Seen, install
from recorder.simulator import SimulatorSettings
from tests.support.enrolment_server import EnrolmentServer, enrolment_server
from tests.support.postgres import free_port
from tests.support.simulator import SIMULATOR_KEY, simulating

INPUTS: list[Any] = [{"input": "who?", "processor": "lite"}] * 3


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with simulating(SimulatorSettings(port=0, api_key=SIMULATOR_KEY)) as url:
        yield url


@pytest.fixture
def client(provider: str) -> Iterator[parallel.Parallel]:
    with parallel.Parallel(api_key=SIMULATOR_KEY, base_url=provider, max_retries=2) as client:
        yield client


@pytest.fixture
def recorder() -> Iterator[EnrolmentServer]:
    with enrolment_server() as server:
        yield server


@pytest.fixture
def attached(client: parallel.Parallel, recorder: EnrolmentServer) -> Iterator[Attachment]:
    attachment = attach(client, to=recorder.url, token="secret")
    yield attachment
    attachment.detach()


def _spooled(to: str) -> list[str]:
    return [line for path in spool_folder(to).glob("*") for line in path.read_text().splitlines()]


def test_groups_are_enrolled_and_their_runs_expected(
    client: parallel.Parallel, recorder: EnrolmentServer, attached: Attachment
) -> None:
    group = client.task_group.create(metadata={"customer": "acme"}).task_group_id
    client.task_group.add_runs(group, inputs=INPUTS)
    client.task_group.add_runs(group, inputs=INPUTS[:1])
    client.task_group.retrieve(group)
    assert attached.flush()
    assert recorder.bodies == [
        ("groups", {"taskgroup_id": group}),
        ("expectation", {"add_runs": 3}),
        ("expectation", {"add_runs": 1}),
    ]
    assert {sent.headers["authorization"] for sent in recorder.requests} == {"Bearer secret"}
    keys = [sent.headers.get("idempotency-key") for sent in recorder.requests]
    assert keys[0] is None
    assert len(set(keys)) == 3


def test_raw_and_streamed_responses(
    client: parallel.Parallel, recorder: EnrolmentServer, attached: Attachment
) -> None:
    raw = client.task_group.with_raw_response.create().parse().task_group_id
    with client.task_group.with_streaming_response.create() as streamed:
        other = streamed.parse().task_group_id
    assert attached.flush()
    assert recorder.bodies == [("groups", {"taskgroup_id": raw}), ("groups", {"taskgroup_id": other})]


def test_the_asynchronous_client(provider: str, recorder: EnrolmentServer) -> None:
    async def create() -> str:
        async with parallel.AsyncParallel(api_key=SIMULATOR_KEY, base_url=provider) as client:
            attachment = attach(client, to=recorder.url)
            group = (await client.task_group.create()).task_group_id
            await client.task_group.add_runs(group, inputs=INPUTS)
            assert await asyncio.to_thread(attachment.flush)
            attachment.detach()
            return group

    group = asyncio.run(create())
    assert recorder.bodies == [("groups", {"taskgroup_id": group}), ("expectation", {"add_runs": 3})]


@pytest.mark.parametrize("read_first", [False, True])
def test_compressed_responses(recorder: EnrolmentServer, read_first: bool) -> None:
    body = json.dumps({"taskgroup_id": "tgrp_1", "status": {}, "created_at": "x"}).encode()

    class Stream(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            packed = gzip.compress(body)
            yield packed[:7]
            yield packed[7:]

    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Stream())
    )
    hooks = {"response": [lambda response: response.read()] if read_first else []}
    http = httpx.Client(transport=transport, event_hooks=hooks)
    client = parallel.Parallel(api_key="k", base_url="http://provider.test", http_client=http)
    attachment = attach(client, to=recorder.url)
    client.task_group.create()
    assert attachment.flush()
    attachment.detach()
    assert recorder.bodies == [("groups", {"taskgroup_id": "tgrp_1"})]


def test_failed_calls_enrol_nothing(
    client: parallel.Parallel, recorder: EnrolmentServer, attached: Attachment
) -> None:
    with pytest.raises(parallel.NotFoundError):
        client.task_group.add_runs("tgrp_unknown", inputs=INPUTS)
    assert attached.flush()
    assert recorder.requests == []


def test_what_cannot_be_delivered_is_delivered_by_the_next_process(
    client: parallel.Parallel, recorder: EnrolmentServer, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.status = 503
    first = attach(client, to=recorder.url, token="secret")
    with caplog.at_level(logging.WARNING, "recorder.sdk"):
        group = client.task_group.create().task_group_id
        client.task_group.add_runs(group, inputs=INPUTS)
        assert not first.flush(0.2)
    first.detach()
    assert [line for line in caplog.messages if "503 as it was told" in line] == [
        "the recorder takes no groups now, so they wait: 503 as it was told"
    ]
    waiting = _spooled(recorder.url)
    assert len(waiting) == 2
    assert not any("secret" in line for line in waiting)
    recorder.status = 201
    recorder.requests.clear()
    second = attach(client, to=recorder.url)
    _until(lambda: len(recorder.requests) == 2)
    second.detach()
    assert recorder.bodies == [("groups", {"taskgroup_id": group}), ("expectation", {"add_runs": 3})]
    assert _spooled(recorder.url) == []


def test_what_can_be_neither_delivered_nor_kept_is_named_at_the_end(
    client: parallel.Parallel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    address = f"http://127.0.0.1:{free_port()}"
    attachment = attach(client, to=address)
    groups = [client.task_group.create().task_group_id for _ in range(2)]
    client.task_group.add_runs(groups[0], inputs=INPUTS)
    assert not attachment.flush(0.2)
    for _ in range(2):
        attachment.detach()
    lost = [line for line in caplog.messages if "neither delivered nor on disk" in line]
    assert lost == [f"these groups are neither delivered nor on disk: {groups[0]}, {groups[1]}"]
    assert f"the recorder takes no groups now, so they wait: {address}: Connection refused" in caplog.messages


def test_a_killed_process_loses_nothing_that_is_on_disk(
    client: parallel.Parallel, recorder: EnrolmentServer
) -> None:
    killed = """
import os, sys
from recorder.sdk.spool import Spool, spool_folder
Spool(spool_folder(sys.argv[1])).append([{"taskgroup_id": "tgrp_left", "key": "k"}])
os._exit(9)
"""
    subprocess.run([sys.executable, "-c", killed, recorder.url], check=False, timeout=30)
    (path,) = spool_folder(recorder.url).glob("*")
    path.write_bytes(path.read_bytes() + b'{"taskgroup_id": "tgrp_half')
    attachment = attach(client, to=recorder.url)
    _until(lambda: not path.exists())
    attachment.detach()
    assert recorder.bodies == [("groups", {"taskgroup_id": "tgrp_left"})]


def test_what_a_living_process_spooled_is_left_to_it(recorder: EnrolmentServer) -> None:
    mine, other = Spool(spool_folder(recorder.url)), Spool(spool_folder(recorder.url))
    mine.append([{"taskgroup_id": "tgrp_1", "key": "k"}])
    assert list(other.left_by_others()) == []
    mine.close()
    assert [records for records, _ in other.left_by_others()] == [[{"taskgroup_id": "tgrp_1", "key": "k"}]]


def test_a_refused_group_does_not_hold_up_the_others(
    client: parallel.Parallel,
    recorder: EnrolmentServer,
    attached: Attachment,
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorder.status = 422
    group = client.task_group.create().task_group_id
    assert attached.flush()
    assert caplog.messages == [f"the recorder refuses {group}: 422 as it was told"]
    recorder.status = 201
    client.task_group.create()
    assert attached.flush()
    assert len(recorder.requests) == 2


def _create_while_away(client: parallel.Parallel, recorder: EnrolmentServer, groups: int) -> list[str]:
    """Create groups that wait until the recorder is back; add runs to the first."""
    recorder.status = 503
    created = [client.task_group.create().task_group_id for _ in range(groups)]
    client.task_group.add_runs(created[0], inputs=INPUTS)
    _until(lambda: len(_spooled(recorder.url)) == groups + 1 and recorder.requests)
    recorder.requests.clear()
    recorder.status = 201
    return created


def test_groups_that_wait_are_enrolled_in_one_request(
    client: parallel.Parallel, recorder: EnrolmentServer, attached: Attachment
) -> None:
    created = _create_while_away(client, recorder, 3)
    assert attached.flush(30)
    items = [{"taskgroup_id": group} for group in created]
    assert [body for body in recorder.bodies if "items" in body[1]][-1:] == [("groups", {"items": items})]
    assert recorder.bodies[-1] == ("expectation", {"add_runs": 3})


def test_a_refused_group_does_not_hold_up_those_of_the_same_request(
    client: parallel.Parallel,
    recorder: EnrolmentServer,
    attached: Attachment,
    caplog: pytest.LogCaptureFixture,
) -> None:
    created = _create_while_away(client, recorder, 3)
    recorder.refused = created[1]
    caplog.clear()
    assert attached.flush(30)
    assert [body for name, body in recorder.bodies if name == "groups" and "items" not in body] == [
        {"taskgroup_id": group} for group in created
    ]
    assert recorder.bodies[-1] == ("expectation", {"add_runs": 3})
    assert caplog.messages == [f"the recorder refuses {created[1]}: 422 as it was told"]


def test_what_was_sent_before_the_api_went_away_is_not_sent_again(recorder: EnrolmentServer) -> None:
    api = Api(recorder.url, None)
    records = [{"taskgroup_id": one, "add_runs": 3, "key": "k"} for one in ("first", "second", "third")]
    recorder.away = "second"
    with pytest.raises(UndeliverableError):
        api.deliver(records)
    recorder.away = None
    for _ in range(2):
        api.deliver(records)
    paths = [sent.path.split("/")[-2] for sent in recorder.requests]
    assert paths == ["first", "second", "second", "third", "first", "second", "third"]


def test_one_that_cannot_be_delivered_because_of_a_bug_is_the_only_one_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Buggy(Folder):
        def deliver(self, records: Sequence[Record]) -> None:
            if any(record["taskgroup_id"] == "b" for record in records):
                raise KeyError("a bug")
            super().deliver(records)

    destination = Buggy(tmp_path / "enrol")
    left = Spool(tmp_path / "spool")
    left.append([{"taskgroup_id": one, "key": "k"} for one in "abc"])
    left.close()
    courier = Courier(destination, tmp_path / "spool")
    _until(lambda: not list((tmp_path / "spool").iterdir()))
    courier.close()
    (path,) = (tmp_path / "enrol").iterdir()
    assert [json.loads(line)["taskgroup_id"] for line in path.read_text().splitlines()] == ["a", "c"]
    assert caplog.messages == ["b cannot be delivered because of a bug"]


def test_the_token_does_not_follow_a_redirect(
    client: parallel.Parallel, recorder: EnrolmentServer, attached: Attachment
) -> None:
    with enrolment_server() as elsewhere:
        recorder.status, recorder.location = 307, elsewhere.url
        client.task_group.create()
        assert not attached.flush(0.2)
        assert elsewhere.requests == []


def test_a_spool_that_cannot_be_written_stops_nothing(
    client: parallel.Parallel, recorder: EnrolmentServer, state_home: Path, attached: Attachment
) -> None:
    state_home.write_text("in the way of the folder")
    group = client.task_group.create().task_group_id
    assert attached.flush()
    assert recorder.bodies == [("groups", {"taskgroup_id": group})]


def test_a_broken_hook_neither_breaks_nor_repeats_the_call(client: parallel.Parallel) -> None:
    """The SDK would take an error for one of the network, and create the group again."""
    created: list[str] = []

    def take(_: Seen) -> None:
        raise RuntimeError("a bug")

    client._client.event_hooks["request"].append(lambda request: created.append(request.url.path))
    install(client, take)
    assert client.task_group.create().task_group_id
    with client.task_group.with_streaming_response.create() as streamed:
        assert streamed.parse().task_group_id
    assert created == ["/v1/tasks/groups"] * 2


def test_after_detaching_nothing_is_enrolled(
    client: parallel.Parallel, recorder: EnrolmentServer, attached: Attachment
) -> None:
    attached.detach()
    client.task_group.create()
    assert attached.flush(1)
    assert recorder.requests == []


def test_a_forked_process_delivers_its_own(
    client: parallel.Parallel, recorder: EnrolmentServer, attached: Attachment
) -> None:
    child = os.fork()
    if child == 0:
        client.task_group.create()
        os._exit(0 if attached.flush() else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert [name for name, _ in recorder.bodies] == ["groups"]


def test_a_folder_gets_a_line_for_each(client: parallel.Parallel, tmp_path: Path) -> None:
    attachment = attach(client, to=tmp_path / "enrol")
    group = client.task_group.create().task_group_id
    client.task_group.add_runs(group, inputs=INPUTS)
    assert attachment.flush()
    attachment.detach()
    (path,) = (tmp_path / "enrol").iterdir()
    first, second = map(json.loads, path.read_text().splitlines())
    assert (first["taskgroup_id"], first.get("add_runs")) == (group, None)
    assert (second["taskgroup_id"], second["add_runs"]) == (group, 3)


def test_a_client_of_something_else_is_refused() -> None:
    with pytest.raises(TypeError, match="Parallel or AsyncParallel"):
        attach(object(), to="http://127.0.0.1:8000")


@pytest.mark.parametrize(
    ("to", "token", "message"),
    [
        ("http://", None, "has no host"),
        ("", None, "is empty"),
        ("folder", "secret", "takes a token"),
        ("sqlite:///recorder.db", "secret", "takes a token"),
        ("ftp://example.com", None, "neither"),
        ("mysql://localhost/recorder", None, "neither"),
    ],
)
def test_unusable_destinations(client: parallel.Parallel, to: str, token: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attach(client, to=to, token=token)


def test_importing_it_imports_nothing_else_of_the_recorder() -> None:
    script = "import sys, recorder.sdk; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    names = done.stdout.split()
    assert {name for name in names if name.startswith(("recorder.", "api"))} == {
        f"recorder.sdk{module}" for module in ("", ".courier", ".database", ".destinations", ".spool", ".tap")
    }
    assert "sqlalchemy" not in names


def _until(holds: Any) -> None:
    """Wait for what the background thread does."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
