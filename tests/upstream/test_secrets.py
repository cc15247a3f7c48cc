"""The API key is sent to the upstream and appears nowhere else, even if the upstream sends it back."""

from __future__ import annotations

import asyncio
import gc
import traceback

import httpx
import pytest

from recorder.upstream import UpstreamClient
from tests.support.stub_server import OK, RawServer, Reply, response
from tests.upstream.clients import KEY, client, failure_of, with_server

TAIL = "the-tail-of-a-body"
LONG = f"bad key {KEY} {'x' * 300} {TAIL}"
TWICE = f'{{"status": {{}}, "{KEY}": 1, "{KEY}": 2}}'
CUT = f'{{"status": {{}}, "{"x" * 60}{KEY}": 1, "{"x" * 60}{KEY}": 2}}'

ECHOES = [
    pytest.param(response("401 Unauthorized", {"detail": LONG}), id="in a message"),
    pytest.param(response("401 Unauthorized", {"error": {"message": LONG}}), id="in another message"),
    pytest.param(response("401 Unauthorized", {"detail": KEY.upper()}), id="in another case"),
    pytest.param(response("401 Unauthorized", {"detail": f"bad key {KEY[:12]}..."}), id="only the start"),
    pytest.param(response("401 Unauthorized", {"detail": f"{KEY[:12]}\n{KEY[12:]}"}), id="on two lines"),
    pytest.param(
        response("401 Unauthorized", b'{"detail": "\\u0073' + KEY[1:].encode() + b'"}'), id="in an escape"
    ),
    pytest.param(response(f"401 {KEY}"), id="in the reason phrase"),
    pytest.param(response("403 Forbidden", {"detail": "x" * 170 + KEY}), id="where the detail is cut"),
    pytest.param(response("200 OK", TWICE.encode()), id="as a duplicate key"),
    pytest.param(response("200 OK", CUT.encode()), id="as a duplicate key that is cut"),
]

NOT_SHOWN = [
    pytest.param(response("302 Found", b"", f"Location: /?key={KEY}"), id="in a Location"),
    pytest.param(response("302 Found", b"", f"Location: http://[{KEY}"), id="in an invalid Location"),
    pytest.param(response("401 No", b"", f"X-Api-Key: {KEY}", f"Set-Cookie: {KEY}=1"), id="in a header"),
    pytest.param(response("401 No", b"", f"Set-Cookie: {KEY} and more=1"), id="in the name of a bad cookie"),
    pytest.param(response("429 No", b"", f"Retry-After: {KEY}"), id="in a Retry-After"),
    pytest.param(response("200 OK", b"", f"Content-Encoding: {KEY}"), id="in a Content-Encoding"),
    pytest.param(response("503 No", f"<html>{LONG}</html>".encode()), id="in an HTML page"),
    pytest.param(response("200 OK", f"<html>{LONG}</html>".encode()), id="in an HTML page with 200"),
    pytest.param(Reply(f"{KEY} garbage\r\n\r\n".encode()), id="in garbage"),
    pytest.param(Reply(f"HTTP/1.1 200 OK\r\n{KEY}\r\n\r\n".encode()), id="in a bad header"),
    pytest.param(Reply(f"HTTP/1.1 503 No\r\nContent-Length: 99\r\n\r\n{KEY}".encode()), id="in half a body"),
]


def hidden(text: str) -> bool:
    """Whether a text has neither the end of a body nor a long piece of the key, in any case."""
    pieces = {KEY[start : start + 8].lower() for start in range(len(KEY) - 7)}
    return TAIL not in text and not any(piece in text.lower() for piece in pieces)


@pytest.mark.parametrize("reply", [*ECHOES, *NOT_SHOWN])
def test_an_echo_of_the_key_appears_in_neither_failures_nor_logs(
    reply: Reply, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(0)
    failure = failure_of(reply)
    assert hidden(repr(failure))
    assert hidden(caplog.text)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("reply", ECHOES)
def test_redacted_parts_of_a_detail_are_marked(reply: Reply) -> None:
    assert "[redacted]"[:5] in failure_of(reply).detail


def test_no_printable_object_shows_the_key() -> None:
    printable = (UpstreamClient, httpx.Request, httpx.Headers)

    async def scenario(server: RawServer, upstream: UpstreamClient) -> None:
        server.may_reply.clear()
        poll = asyncio.create_task(upstream.poll("g"))
        await server.request_received.acquire()
        found = [thing for thing in gc.get_objects() if isinstance(thing, printable)]
        assert {type(thing) for thing in found} >= set(printable)
        assert all(hidden(repr(thing) + str(thing)) for thing in found)
        server.may_reply.set()
        await poll

    with_server(scenario, OK)


def test_the_traceback_of_a_bug_does_not_show_the_key() -> None:
    class BrokenBodyLimit(int):
        def __lt__(self, other: int) -> bool:
            raise TypeError("a bug")

    async def scenario(server: RawServer, upstream: UpstreamClient) -> None:
        with pytest.raises(TypeError, match="a bug") as caught:
            await upstream.poll("g")
        assert hidden("".join(traceback.format_exception(caught.value)))

    with_server(scenario, response(f"200 {KEY}", f"{KEY}{TAIL}".encode()), max_body_bytes=BrokenBodyLimit(9))


@pytest.mark.parametrize("key", ["line\nbreak", "tab\t", "\u00fcber"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as caught:
        client("http://127.0.0.1:1", api_key=key)
    assert key not in str(caught.value)
