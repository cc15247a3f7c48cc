"""What each kind of answer, or of none, makes of a poll: over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from recorder.ledger.body import parse_body
from recorder.ledger.outcome import Cause, Failure, Observation
from tests.upstream.clients import (
    HANG_SECONDS,
    KEY,
    MAX_BODY_BYTES,
    NOON,
    failure_of,
    outcome_of,
    poll_once,
)
from tests.upstream.server import GROUP, OK, Reply, Then, answer, serving

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
PAGE = b"<html><body><h1>Sorry</h1> nginx</body></html>"


def padded(size: int) -> bytes:
    """A good body of `size` bytes."""
    raw = json.dumps(GROUP).encode()
    return raw + b" " * (size - len(raw))


BROKEN = [
    pytest.param(Reply(b""), "connection closed before an answer", id="closed before the answer"),
    pytest.param(
        Reply(b"HTTP/1.1 200 OK\r\nConte"), "connection closed before an answer", id="closed inside the head"
    ),
    pytest.param(Reply(b"", Then.RESET), "connection reset", id="reset before the answer"),
    pytest.param(
        Reply(HEAD + b"Content-Length: 900\r\n\r\n{"),
        "connection closed inside the body",
        id="closed inside a body of known length",
    ),
    pytest.param(
        Reply(CHUNKED + b"5\r\n{"), "connection closed inside the body", id="closed inside a chunked body"
    ),
    pytest.param(
        Reply(CHUNKED + b"2\r\n{}\r\n"),
        "connection closed inside the body",
        id="closed before the last chunk",
    ),
]


@pytest.mark.parametrize(("reply", "detail"), BROKEN)
def test_a_connection_that_breaks_is_unreachable(reply: Reply, detail: str) -> None:
    assert failure_of(reply) == Failure(NOON, NOON, Cause.UNREACHABLE, None, detail)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(b"", Then.HANG), id="before the answer"),
        pytest.param(Reply(HEAD + b"Content-Length: 900\r\n\r\n{", Then.HANG), id="inside the body"),
    ],
)
def test_a_server_that_hangs_is_a_timeout(reply: Reply) -> None:
    failure = failure_of(reply, timeout_seconds=HANG_SECONDS)
    assert failure == Failure(NOON, NOON, Cause.TIMEOUT, None, "no complete answer in time")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x00\x01\x02 garbage\r\n\r\n", id="garbage"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", id="another protocol"),
        pytest.param(HEAD + b"X: " + b"a" * 100_000 + b"\r\n\r\n", id="a huge header"),
        pytest.param(HEAD + b"X: a\r\n" * 5_000 + b"\r\n", id="too many headers"),
        pytest.param(HEAD + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n", id="an absurd length"),
    ],
)
def test_what_is_not_proper_http_is_malformed(data: bytes) -> None:
    failure = failure_of(Reply(data))
    assert failure == Failure(NOON, NOON, Cause.MALFORMED, None, "the answer is not proper HTTP")


def test_chunks_that_make_no_sense_are_malformed() -> None:
    failure = failure_of(Reply(CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n"))
    assert (failure.cause, failure.detail) == (Cause.MALFORMED, "the answer is not proper HTTP")


REFUSED = [
    ("301 Moved Permanently", Cause.CLIENT_ERROR),
    ("304 Not Modified", Cause.CLIENT_ERROR),
    ("400 Bad Request", Cause.CLIENT_ERROR),
    ("401 Unauthorized", Cause.UNAUTHORIZED),
    ("402 Payment Required", Cause.CLIENT_ERROR),
    ("403 Forbidden", Cause.UNAUTHORIZED),
    ("404 Not Found", Cause.NOT_FOUND),
    ("408 Request Timeout", Cause.CLIENT_ERROR),
    ("409 Conflict", Cause.CLIENT_ERROR),
    ("410 Gone", Cause.NOT_FOUND),
    ("422 Unprocessable Entity", Cause.CLIENT_ERROR),
    ("429 Too Many Requests", Cause.RATE_LIMITED),
    ("500 Internal Server Error", Cause.SERVER_ERROR),
    ("502 Bad Gateway", Cause.SERVER_ERROR),
    ("503 Service Unavailable", Cause.SERVER_ERROR),
    ("599 Odd", Cause.SERVER_ERROR),
    ("201 Created", Cause.MALFORMED),
    ("204 No Content", Cause.MALFORMED),
    ("101 Switching Protocols", Cause.MALFORMED),
    ("999 Odder", Cause.MALFORMED),
]


@pytest.mark.parametrize(("status", "cause"), REFUSED)
def test_a_status_other_than_200_is_a_failure_by_its_status(status: str, cause: Cause) -> None:
    failure = failure_of(answer(status, then=Then.CLOSE))
    assert failure == Failure(NOON, NOON, cause, int(status[:3]), status)


def test_a_status_without_a_phrase_gets_its_usual_one() -> None:
    assert failure_of(answer("404")).detail == "404 Not Found"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(
            {"type": "error", "error": {"ref_id": "r", "message": "Slow down"}}, "Slow down", id="own"
        ),
        pytest.param({"detail": "Slow down"}, "Slow down", id="a text"),
        pytest.param(
            {"detail": [{"loc": ["path"], "msg": "Too short", "type": "t"}]}, "Too short", id="a list"
        ),
    ],
)
def test_a_known_error_body_adds_its_message(body: object, message: str) -> None:
    assert (
        failure_of(answer("422 Unprocessable Entity", body)).detail == f"422 Unprocessable Entity: {message}"
    )


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(PAGE, id="a page"),
        pytest.param({"detail": {"secret": "plan"}}, id="another shape"),
        pytest.param({"error": {"message": 5}, "detail": []}, id="other types"),
        pytest.param(b"[" * 1_900, id="deep nesting"),
        pytest.param(b"\xff\xfe", id="bytes"),
        pytest.param(b" " * (MAX_BODY_BYTES + 1), id="more than is read"),
    ],
)
def test_any_other_error_body_adds_nothing(body: object) -> None:
    failure = failure_of(answer("503 Service Unavailable", body))
    assert failure == Failure(NOON, NOON, Cause.SERVER_ERROR, 503, "503 Service Unavailable")


@pytest.mark.parametrize("then", [Then.CLOSE, Then.HANG])
def test_a_status_counts_even_if_its_body_never_comes_whole(then: Then) -> None:
    reply = Reply(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 99\r\n\r\n{", then)
    failure = failure_of(reply, timeout_seconds=HANG_SECONDS)
    assert failure == Failure(NOON, NOON, Cause.RATE_LIMITED, 429, "429 Too Many Requests", 7.0)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        pytest.param(PAGE, "not JSON: Expecting value at character 0", id="a page"),
        pytest.param(b"", "not JSON: Expecting value at character 0", id="nothing"),
        pytest.param(b'{"status": {', "not JSON: ", id="truncated"),
        pytest.param(b'{"status": {}, "status": {}}', "duplicate key 'status'", id="duplicate keys"),
        pytest.param(b'{"status": {}, "x": "\\ud800"}', "a lone surrogate", id="a lone surrogate"),
        pytest.param(b"[1]", "not a JSON object", id="not an object"),
        pytest.param(b'{"taskgroup_id": "tgrp_1"}', "no object `status`", id="no status"),
        pytest.param(b'{"status": "ok"}', "no object `status`", id="a status of another type"),
        pytest.param(b"\xff{}", "not UTF-8", id="not UTF-8"),
    ],
)
def test_a_body_that_is_no_group_is_malformed(body: bytes, detail: str) -> None:
    failure = failure_of(answer("200 OK", body))
    assert (failure.cause, failure.http_status) == (Cause.MALFORMED, 200)
    assert failure.detail.startswith(detail)
    assert "Sorry" not in failure.detail


@pytest.mark.parametrize("encoding", ["gzip", "br", "GZIP"])
def test_a_content_encoding_that_was_not_asked_for_is_malformed(encoding: str) -> None:
    packed = gzip.compress(json.dumps(GROUP).encode())
    failure = failure_of(answer("200 OK", packed, f"Content-Encoding: {encoding}"))
    detail = "a Content-Encoding that was not asked for"
    assert failure == Failure(NOON, NOON, Cause.MALFORMED, 200, detail)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(HEAD + b"Content-Length: 2001\r\n\r\n", Then.HANG), id="by its Content-Length"),
        pytest.param(Reply(CHUNKED + b"7d1\r\n" + b" " * 2001 + b"\r\n", Then.HANG), id="while streaming"),
        pytest.param(Reply(HEAD + b"\r\n" + b" " * 2001, Then.HANG), id="without any length"),
    ],
)
def test_a_body_over_the_limit_is_too_large_and_not_read_to_its_end(reply: Reply) -> None:
    failure = failure_of(reply)
    assert failure == Failure(NOON, NOON, Cause.TOO_LARGE, 200, "the body is larger than 2000 bytes")


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(OK, id="plain"),
        pytest.param(answer("200 OK", GROUP, "Content-Encoding: Identity"), id="identity"),
        pytest.param(answer("200 \xff\xfe", GROUP, "X-Odd: \xff"), id="bytes in the head that are not UTF-8"),
        pytest.param(answer("200", GROUP, "Content-Type: text/html"), id="no reason, another type"),
        pytest.param(Reply(HEAD + b"\r\n" + json.dumps(GROUP).encode()), id="until the connection closes"),
        pytest.param(Reply(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK.data, Then.KEEP), id="after a 103"),
        pytest.param(answer("200 OK", padded(MAX_BODY_BYTES)), id="as large as allowed"),
    ],
)
def test_a_group_is_an_observation(reply: Reply) -> None:
    expected = Observation(NOON, NOON, parse_body(json.dumps(GROUP).encode()))
    assert outcome_of(reply) == expected


def test_a_port_where_nobody_listens_is_unreachable() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        outcome = poll_once(f"http://127.0.0.1:{bound.getsockname()[1]}")
    assert outcome == Failure(NOON, NOON, Cause.UNREACHABLE, None, "connection refused")


def test_a_name_that_does_not_exist_is_unreachable() -> None:
    outcome = poll_once("http://nonexistent.invalid")
    assert isinstance(outcome, Failure)
    assert (outcome.cause, outcome.http_status) == (Cause.UNREACHABLE, None)
    assert outcome.detail in ("name not found", "name lookup failed")  # the latter without a network


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "upstream",
        "ftp://127.0.0.1",
        "http://",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:x",
        "http://\u2603",
    ],
)
def test_a_url_that_is_none_is_unreachable(base_url: str) -> None:
    assert poll_once(base_url) == Failure(NOON, NOON, Cause.UNREACHABLE, None, "bad URL")


def test_a_host_that_is_none_is_unreachable() -> None:
    outcome = poll_once("http://a..b")
    assert outcome == Failure(NOON, NOON, Cause.UNREACHABLE, None, "bad URL: not a host name")


def test_a_server_without_tls_asked_with_it_is_unreachable() -> None:
    async def speak_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        await reader.read()
        writer.close()

    async def scenario() -> Observation | Failure:
        server = await asyncio.start_server(speak_first, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            return await asyncio.to_thread(poll_once, f"https://127.0.0.1:{port}")

    outcome = asyncio.run(scenario())
    assert isinstance(outcome, Failure)
    assert (outcome.cause, outcome.http_status) == (Cause.UNREACHABLE, None)
    assert outcome.detail.startswith("TLS: ")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost with its key, and that of its issuer, in one file."""
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    issuer = trustme.CA()
    issuer.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(path)
    issuer.cert_pem.write_to_path(path, append=True)
    return path


def _poll_over_tls(certificate: Path, host: str) -> Observation | Failure:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)

    async def scenario() -> Observation | Failure:
        async with serving(OK, tls=tls) as server:
            return await asyncio.to_thread(poll_once, f"https://{host}:{server.port}")

    return asyncio.run(scenario())


def test_a_certificate_that_nobody_vouches_for_is_unreachable(certificate: Path) -> None:
    outcome = _poll_over_tls(certificate, "localhost")
    assert isinstance(outcome, Failure)
    assert (outcome.cause, outcome.http_status) == (Cause.UNREACHABLE, None)
    assert outcome.detail.startswith("TLS: certificate verify failed: ")


def test_a_trusted_certificate_for_another_name_is_unreachable(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    outcome = _poll_over_tls(certificate, "127.0.0.1")
    assert isinstance(outcome, Failure)
    assert outcome.detail.startswith("TLS: certificate verify failed: IP address mismatch")


def test_a_trusted_certificate_is_accepted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert isinstance(_poll_over_tls(certificate, "localhost"), Observation)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(answer("401 Unauthorized", {"detail": f"bad key {KEY}"}), id="in a message"),
        pytest.param(answer(f"401 {KEY}", b""), id="in the reason phrase"),
        pytest.param(answer("403 Forbidden", {"detail": "x" * 170 + KEY}), id="where the detail is cut"),
        pytest.param(
            answer("200 OK", f'{{"status": {{}}, "{KEY}": 1, "{KEY}": 2}}'.encode()), id="as a duplicate key"
        ),
    ],
)
def test_the_key_is_in_no_detail_even_if_the_upstream_echoes_it(reply: Reply) -> None:
    detail = failure_of(reply).detail
    assert KEY[:8] not in detail
    assert "[redacted]"[:5] in detail
