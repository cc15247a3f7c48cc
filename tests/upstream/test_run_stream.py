"""The stream of a group's runs: what is taken of it, and what stops it."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.ledger.run_claims import RunClaim
from recorder.ledger.timestamps import parse_time
from recorder.upstream.event_stream import EventReader
from recorder.upstream.run_stream import RunSource, RunStreamError, read_runs
from tests.support.stub_server import RawServer, Reply, Then, response, serving
from tests.upstream.clients import KEY

GROUP = "tgrp_1"
RUN: dict[str, Any] = {
    "run_id": "trun_1",
    "taskgroup_id": GROUP,
    "processor": "core",
    "status": "completed",
    "created_at": "2026-11-24T12:16:00Z",
    "modified_at": "2026-11-24T12:17:30.5+00:00",
}
STREAM = "Content-Type: text/event-stream; charset=utf-8"


def event(run: dict[str, Any] | None = None, **members: Any) -> str:
    return json.dumps({"type": "task_run.state", "event_id": "1", "run": run or RUN, **members})


def sse(*data: str) -> bytes:
    return "".join(f"event: task_run.state\ndata: {text}\n\n" for text in data).encode()


def stream(*data: str) -> Reply:
    return response("200 OK", sse(*data), STREAM)


def read(*replies: Reply, group: str = GROUP, most: int = 2000) -> tuple[list[RunClaim], RawServer]:
    async def scenario() -> tuple[list[RunClaim], RawServer]:
        taken: list[RunClaim] = []
        async with serving(*replies) as server:
            await read_runs(RunSource(server.url, "/v1beta/", KEY, 30.0, most), group, taken.append)
        return taken, server

    return asyncio.run(scenario())


def complaint(*replies: Reply, **options: Any) -> str:
    with pytest.raises(RunStreamError) as error:
        read(*replies, **options)
    return str(error.value)


def test_runs_are_taken_with_what_was_said_and_their_times() -> None:
    other = {"run_id": "trun_2", "status": 7, "created_at": "1970-01-01T00:00:00Z", "processor": "a\0\ud800"}
    said = [event(), event(other)]
    taken, server = read(stream(*said))
    assert taken == [
        RunClaim(
            "trun_1",
            said[0],
            "core",
            "completed",
            parse_time("2026-11-24T12:16:00Z"),
            parse_time("2026-11-24T12:17:30.5Z"),
        ),
        RunClaim("trun_2", said[1], "a��", None, None, None),
    ]
    head = server.requests[0].decode().lower()
    assert head.startswith("get /v1beta/tasks/groups/tgrp_1/runs http/1.1\r\n")
    assert "accept: text/event-stream\r\n" in head and f"x-api-key: {KEY}\r\n" in head


@pytest.mark.parametrize("group", ["a b", "ä", "a+b,c", "a%2Fb", "a?b#c", "!$'()*;=:@&", "x" * 255])
def test_the_id_is_encoded(group: str) -> None:
    _, server = read(stream(), group=group)
    path = server.requests[0].split()[1].decode()
    assert path.startswith("/v1beta/tasks/groups/") and path.endswith("/runs")
    step = path.removeprefix("/v1beta/tasks/groups/").removesuffix("/runs")
    assert step == quote(group, safe="")


def test_other_events_are_left_out_and_line_breaks_become_spaces() -> None:
    status = json.dumps({"type": "task_group_status", "status": {}})
    spread = event().replace(", ", ",\n")
    body = sse(status) + b"".join(b"data: " + line.encode() + b"\n" for line in spread.split("\n")) + b"\n"
    taken, _ = read(response("200 OK", body, STREAM))
    assert [claim.said for claim in taken] == [spread.replace("\n", " ")]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("[]", "malformed: an event that is not an object"),
        ("{", "malformed: an event that is not JSON"),
        ('{"a": NaN}', "malformed: an event that is not JSON"),
        ("[" * 1500, "malformed: an event that is not"),
        (event({"run_id": 3}), "malformed: a run without an id"),
        (event({"run_id": "a/b"}), "malformed: the id of a run contains '/'"),
        (event({**RUN, "taskgroup_id": "tgrp_2"}), "malformed: a run of another group"),
        ('{"type": "task_run.state"}', "malformed: an event without a run"),
        ('{"type": "error", "error": {"message": "no"}}', "the upstream reported: no"),
        (f'{{"type": "error", "error": {{"message": "{KEY}"}}}}', "the upstream reported: [redacted]"),
        ('{"type": "error"}', "the upstream reported: no message"),
        (event(padding="x" * 2000), "too_large: an event is larger than 2000 bytes"),
    ],
)
def test_events_that_stop_it(data: str, words: str) -> None:
    assert complaint(stream(event(), data)).startswith(words)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (response("404 Not Found", {"error": {"message": "no group"}}), "not_found: 404 Not Found: no group"),
        (response("401 No", {}), "unauthorized: 401 No"),
        (response("503 Busy", b"<html>"), "server_error: 503 Busy"),
        (response("200 OK", {}, "Content-Type: application/json"), "malformed: the response is not a stream"),
        (response("200 OK", sse(event()), STREAM, "Content-Encoding: gzip"), "malformed: a Content-Encoding"),
        (response("200 OK", sse(event())[:-1], STREAM), "malformed: the stream ends inside an event"),
        (response("200 OK", b"data: \xff\n\n", STREAM), "malformed: an event that is not UTF-8"),
        (response("200 OK", b"data: " + b"x" * 3000, STREAM), "too_large: an event is larger"),
        (Reply(b"", Then.CLOSE), "unreachable: connection closed before an answer"),
        (
            Reply(f"HTTP/1.1 200 OK\r\n{STREAM}\r\nContent-Length: 999999\r\n\r\n".encode() + sse(event())),
            "unreachable: connection closed inside the body",
        ),
    ],
)
def test_responses_that_stop_it(reply: Reply, words: str) -> None:
    assert complaint(reply).startswith(words)


@pytest.mark.parametrize(("then", "limits"), [(Then.HANG, (0.3,)), (Then.DRIP, (30.0, 0.3))])
def test_a_stream_without_an_end_stops_it(then: Then, limits: tuple[float, ...]) -> None:
    head = f"HTTP/1.1 200 OK\r\n{STREAM}\r\nContent-Length: 999999\r\n\r\n".encode()

    async def scenario() -> None:
        async with serving(Reply(head + sse(event()), then)) as server:
            seconds, *whole = limits
            source = RunSource(server.url, "/v1beta", KEY, seconds, 2000, *whole)
            await read_runs(source, GROUP, lambda _: None)

    with pytest.raises(RunStreamError, match="timeout: no complete answer in time"):
        asyncio.run(scenario())


texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20)


@given(
    st.lists(st.lists(texts, min_size=1, max_size=3), max_size=5),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(1, 7), min_size=1),
    st.booleans(),
)
def test_events_do_not_depend_on_how_the_stream_is_cut(
    events: list[list[str]], end: str, sizes: list[int], mark: bool
) -> None:
    lines = [
        line
        for data in events
        for line in (": a comment", "id: 1", *(f"data: {text}" for text in data), "retry", "")
    ]
    raw = (b"\xef\xbb\xbf" if mark else b"") + "".join(line + end for line in lines).encode()
    reader, found, position, turn = EventReader(10_000), [], 0, 0
    while position < len(raw):
        size = sizes[turn % len(sizes)]
        found += reader.feed(raw[position : position + size])
        position, turn = position + size, turn + 1
    found += reader.finish()
    assert found == ["\n".join(data) for data in events]
    assert not reader.inside_an_event or not events
