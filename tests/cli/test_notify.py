"""`recorder notify`, and a recorder that tells sinks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from recorder.cli.doctor.sinks import check_deliveries
from recorder.store.deliveries import SinkState, list_sinks, sink_states
from recorder.store.transactions import reading, writing
from tests.support.program import KEY, Program, Result
from tests.support.recording import Recording, active, after
from tests.support.scripted_upstream import Upstream
from tests.support.told_sinks import told_sink
from tests.support.webhook_receiver import SECRET, Receiver, webhook_receiver

CHAT = '[[notify]]\nname = "chat"\nurl_env = "CHAT_URL"\n'
TOKEN = "recognisable-token-5d1e"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with webhook_receiver() as running:
        yield running


def with_file(program: Program, text: str | bytes, **environment: str) -> Program:
    """The program with a file of sinks."""
    path = program.folder / "sinks.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return program.using(RECORDER_NOTIFY_FILE="sinks.toml", HOOK_SECRET=SECRET, **environment)


def said(result: Result) -> str:
    """Everything that was printed, which must have no secret."""
    text = result.out + result.err
    assert SECRET not in text and TOKEN not in text
    return text


def test_check_lists_the_sinks(bare: Program, receiver: Receiver) -> None:
    text = receiver.table("ops", 'events = ["group.settled", "group.blocked"]')
    result = with_file(bare, text).run("notify", "check")
    address = receiver.url.removesuffix("/hook")
    assert (result.status, said(result)) == (
        0,
        f"ops: webhook, {address}: group.blocked, group.settled\n",
    )


WRONG_SETTINGS = [
    (None, "RECORDER_NOTIFY_FILE is not set; set it to a TOML file that lists sinks of events"),
    ("absent", "RECORDER_NOTIFY_FILE: sinks.toml cannot be read: No such file or directory"),
    (b"\xff", "RECORDER_NOTIFY_FILE: sinks.toml is not a text file in UTF-8"),
]


@pytest.mark.parametrize(("content", "words"), WRONG_SETTINGS)
@pytest.mark.parametrize("command", ["check", "test"])
def test_a_file_that_cannot_be_read_is_a_wrong_setting(
    bare: Program, command: str, content: str | bytes | None, words: str
) -> None:
    program = bare if content is None else with_file(bare, content)
    if content == "absent":
        (program.folder / "sinks.toml").unlink()
    assert program.run("notify", command).wrong_usage() == f"Error: {words}"


MISTAKES = [
    ("[[webhook]\n", ["is not TOML"]),
    (
        '[[webhook]]\nname = "a"\nurl = "http://a.example"\n',
        ["url is http:// to a.example", "secret_env is missing"],
    ),
    (CHAT, ["url_env names a variable whose value is no address of a service"]),
]


@pytest.mark.parametrize(("text", "words"), MISTAKES)
def test_every_mistake_is_a_finding_and_stops_the_start(bare: Program, text: str, words: list[str]) -> None:
    program = with_file(bare, text, CHAT_URL=f"nosuch://{TOKEN}", PARALLEL_API_KEY="k")
    for command, status in (("notify check", 1), ("run", 2), ("up", 2)):
        result = program.run(*command.split())
        assert result.status == status
        lines = said(result).splitlines()
        assert len(lines) == len(words)
        assert all(part in line and "sinks.toml: " in line for part, line in zip(words, lines, strict=True))


def test_a_made_up_event_is_sent_to_the_sink_that_is_named(bare: Program, receiver: Receiver) -> None:
    with webhook_receiver() as other:
        program = with_file(bare, receiver.table("ops") + other.table("other"))
        assert said(program.run("notify", "test", "ops")) == "ops took it\n"
        assert other.received == []
        (received,) = receiver.received
        assert (received.type, received.data["test"]) == ("group.settled", True)
        assert received.id.startswith("test-")
        other.answer = lambda _: 500
        result = program.run("notify", "test")
    assert result.status == 1
    assert said(result) == "ops took it\nother did not take it: 500 Internal Server Error\n"
    complaint = program.run("notify", "test", "opps").complaint()
    assert complaint == "Error: 'opps': no such sink; there are: ops, other"


def test_secrets_may_be_in_env(bare: Program, receiver: Receiver) -> None:
    (bare.folder / "sinks.toml").write_text(receiver.table("ops"))
    (bare.folder / ".env").write_text(f"RECORDER_NOTIFY_FILE=sinks.toml\nHOOK_SECRET='{SECRET}'\n")
    assert bare.ok("notify", "test") == "ops took it\n"


def test_the_list_shows_what_failed_and_replay_mends_it(program: Program, engine: Engine) -> None:
    told_sink(engine, "ops")
    row = program.ok("notify", "list").splitlines()[2].split()
    assert row[:5] == ["ops", "notify", "disabled", "1", "1"] and row[-2:] == ["410", "Gone"]
    (item,) = json.loads(program.ok("notify", "list", "--json"))["items"]
    assert (item["pending"], item["failed"], item["last_error"]) == (1, 1, "410 Gone")
    complaint = program.run("notify", "replay", "opps").complaint()
    assert complaint == "Error: 'opps': no recorder has had such a sink; there are: ops"
    assert program.ok("notify", "replay", "ops") == "ops: 2 events to deliver, enabled\n"
    assert program.ok("notify", "replay") == "ops: 2 events to deliver\n"
    with reading(engine) as connection:
        (state,) = sink_states(connection)
    assert (state.pending, state.failed, state.disabled_at) == (2, 0, None)


def test_a_sink_that_left_the_file_is_named_while_it_was_not_told_everything(
    program: Program, engine: Engine
) -> None:
    told_sink(engine, "old")
    with writing(engine) as connection:
        list_sinks(connection, (), after(40))
    none, left = program.ok("notify", "list").splitlines()
    assert none.startswith("no sink: ")
    assert left == "old is not in the file any more: 2 events not delivered"
    assert json.loads(program.ok("notify", "list", "--json")) == {"items": []}
    replayed = program.ok("notify", "replay", "old")
    assert replayed == "old: 2 events to deliver, enabled, once it is in the file again\n"


def test_without_sinks_the_list_says_so(program: Program) -> None:
    assert program.ok("notify", "list").startswith("no sink: none is listed in RECORDER_NOTIFY_FILE")
    assert program.ok("notify", "replay") == "nothing to deliver again: no recorder has had a sink\n"


def test_doctor_says_what_failed(engine: Engine) -> None:
    told_sink(engine, "ops")
    with reading(engine) as connection:
        states = sink_states(connection)
    (check,) = check_deliveries(states, {"ops"})
    assert not check.fine
    assert check.text == (
        "ops: it has wanted no more events since 2026-11-24T12:00:30.000000Z and it could not be told 1 "
        "event (last: 410 Gone); try again with: recorder notify replay ops"
    )
    (other,) = check_deliveries(states, {"new"})
    assert other.fine


WAITING = SinkState(
    "my ops", "webhook", True, 2, 0, after(1), None, after(2), after(3), "500 Internal Server Error"
)


def test_doctor_says_what_does_not_work_now() -> None:
    (check,) = check_deliveries([WAITING], {"my ops"})
    assert not check.fine
    assert check.text == (
        "my ops: it does not take events now (last: 500 Internal Server Error); 2 events wait and will be "
        "tried again, see: recorder notify test 'my ops'"
    )
    for works in (replace(WAITING, pending=0), replace(WAITING, last_success_at=after(4))):
        (check,) = check_deliveries([works], {"my ops"})
        assert check.fine


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_doctor_checks_the_file(program: Program) -> None:
    lines = with_file(program, CHAT).run("doctor").out.splitlines()
    assert any(line.startswith("problem  sinks") and "CHAT_URL, which is not set" in line for line in lines)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_recorder_tells_a_webhook_and_no_secret(
    program: Program, engine: Engine, upstream: Upstream, receiver: Receiver
) -> None:
    """Also one that is run once at a time. The receiver puts the secret into its answers."""
    receiver.answer = lambda _: 500
    ready = with_file(program, receiver.table("ops", 'events = ["group.settled", "group.started"]'))
    ready = ready.using(**upstream.settings, RECORDER_POLL_INTERVAL="0.3", RECORDER_GAP_GRACE="5")
    assert ready.run("run", "--once").status == 0
    recording = Recording(engine)
    recording.watch("tgrp_old")
    recording.see("tgrp_old", 1, active(running=1))
    recording.pause("tgrp_old", 2)
    assert said(ready.run("run", "--once")).count("a sink does not take events") == 1
    assert [received.type for received in receiver.received] == ["group.started"]
    receiver.answer = lambda _: 200
    ready.ok("notify", "replay")
    group = quick_group(upstream)
    with ready.start("run") as recorder:
        recorder.wait_for("recording")
        ready.ok("watch", group)
        recorder.wait_until(
            lambda: (
                any(
                    (one.type, one.data["taskgroup_id"]) == ("group.settled", group)
                    for one in receiver.received
                )
                or None
            ),
            "the webhook to be told",
        )
        assert recorder.stop() == 0
        assert SECRET not in recorder.printed
    told = [(one.type, one.data["taskgroup_id"]) for one in receiver.received]
    assert told == [
        *[("group.started", "tgrp_old")] * 2,
        ("group.started", group),
        ("group.settled", group),
    ]
    database = Path(str(engine.url.database))
    for path in (*database.parent.glob(f"{database.name}*"), *program.folder.iterdir()):
        assert SECRET.encode() not in path.read_bytes(), path


def quick_group(upstream: Upstream) -> str:
    """Create a group whose only run takes half a second."""
    group = upstream.create()
    httpx.post(
        f"{upstream.url}/v1beta/tasks/groups/{group}/runs",
        headers={"x-api-key": KEY, "x-simulator-seconds": "0.5"},
        json={"inputs": [{"input": "who?", "processor": "lite"}]},
        trust_env=False,
    ).raise_for_status()
    return group
