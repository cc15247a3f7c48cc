"""Every way in which a poll can fail, one row each, over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from recorder.ledger.poll_outcome import Cause, Failure
from recorder.upstream.redaction import MAX_CHARACTERS
from recorder.upstream.retry_after import MAX_RETRY_AFTER_SECONDS
from tests.support.stub_server import GROUP, Reply, Then, response
from tests.upstream.clients import LONG_TIMEOUT_SECONDS, MAX_BODY_BYTES, NOON, SHORT_TIMEOUT_SECONDS, client
from tests.upstream.endpoints import (
    Endpoint,
    at,
    connection_refused,
    endpoint_of,
    hanging_tls_handshake,
    plain_http,
    untrusted_certificate,
)

HEAD = b"HTTP/1.1 200 OK\r\n"
KNOWN_LENGTH = HEAD + b"Content-Length: 900\r\n\r\n{"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
OVERSIZE = b" " * (MAX_BODY_BYTES + 1)
PAGE = b"<html><body><h1>Sorry</h1> nginx</body></html>"


class Prefix(str):
    """Equal to every string with this prefix, for messages that depend on the operating system."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and other.startswith(str(self))

    __hash__ = str.__hash__


def row(
    kind: str,
    upstream: Endpoint | Reply,
    cause: Cause,
    http_status: int | None,
    detail: str,
    *,
    wait: float | None = None,
    hangs: bool = False,
) -> Any:
    failure = Failure(NOON, NOON, cause, http_status, detail, wait)
    return pytest.param(upstream, failure, SHORT_TIMEOUT_SECONDS if hangs else LONG_TIMEOUT_SECONDS, id=kind)


def retry_after(kind: str, header: str, seconds: float | None) -> Any:
    reply = response("429 Too Many Requests", b"", *header.split("\n"))
    return row(f"429 with {kind}", reply, Cause.RATE_LIMITED, 429, "429 Too Many Requests", wait=seconds)


def status(line: str, cause: Cause, body: Any = b"", adds: str = "") -> Any:
    return row(f"{line}{adds}", response(line, body, then=Then.CLOSE), cause, int(line[:3]), f"{line}{adds}")


def body(kind: str, raw: bytes, detail: str) -> Any:
    return row(f"200 with {kind}", response("200 OK", raw), Cause.MALFORMED, 200, detail)


TIMEOUT, UNREACHABLE, MALFORMED = Cause.TIMEOUT, Cause.UNREACHABLE, Cause.MALFORMED
BEFORE, INSIDE = "connection closed before an answer", "connection closed inside the body"
TIMED_OUT, NOT_HTTP = "no complete answer in time", "the answer is not proper HTTP"
TOO_LARGE = f"the body is larger than {MAX_BODY_BYTES} bytes"
ENCODED = "a Content-Encoding that was not asked for"

NO_CONNECTION = [
    row("refused", connection_refused, UNREACHABLE, None, "connection refused"),
    row("unknown host name", at("http://nonexistent.invalid"), UNREACHABLE, None, Prefix("name ")),
    row("network unreachable", at("http://224.0.0.1"), UNREACHABLE, None, "network is unreachable"),
    row(
        "untrusted certificate",
        untrusted_certificate,
        UNREACHABLE,
        None,
        Prefix("TLS: certificate verify failed: "),
    ),
    row("no TLS", plain_http, UNREACHABLE, None, Prefix("TLS: ")),
    row("TLS hangs", hanging_tls_handshake, TIMEOUT, None, TIMED_OUT, hangs=True),
    row("URL without a scheme", at("upstream"), UNREACHABLE, None, "bad URL"),
    row("empty URL", at(""), UNREACHABLE, None, "bad URL"),
    row("URL with another scheme", at("ftp://127.0.0.1"), UNREACHABLE, None, "bad URL"),
    row("URL without a host", at("http://"), UNREACHABLE, None, "bad URL"),
    row("URL with an invalid host", at("http://\u2603"), UNREACHABLE, None, "bad URL"),
    row("URL with an empty label", at("http://a..b"), UNREACHABLE, None, "bad URL: not a host name"),
    row("URL with an invalid port", at("http://127.0.0.1:99999"), UNREACHABLE, None, "bad URL"),
    row("URL with a non-numeric port", at("http://127.0.0.1:x"), UNREACHABLE, None, "bad URL"),
]

INCOMPLETE_RESPONSE = [
    row("hang before the response", Reply(b"", Then.HANG), TIMEOUT, None, TIMED_OUT, hangs=True),
    row("hang inside the head", Reply(HEAD, Then.HANG), TIMEOUT, None, TIMED_OUT, hangs=True),
    row("hang inside the body", Reply(KNOWN_LENGTH, Then.HANG), TIMEOUT, None, TIMED_OUT, hangs=True),
    row("hang inside a chunk", Reply(CHUNKED + b"9\r\n{", Then.HANG), TIMEOUT, None, TIMED_OUT, hangs=True),
    row("endless drip", Reply(CHUNKED + b"1\r\n \r\n", Then.DRIP), TIMEOUT, None, TIMED_OUT, hangs=True),
    row("closed before the response", Reply(b""), UNREACHABLE, None, BEFORE),
    row("closed inside the head", Reply(HEAD + b"Conte"), UNREACHABLE, None, BEFORE),
    row("closed inside a known length", Reply(KNOWN_LENGTH), UNREACHABLE, None, INSIDE),
    row("closed inside a chunk", Reply(CHUNKED + b"5\r\n{"), UNREACHABLE, None, INSIDE),
    row("closed before the last chunk", Reply(CHUNKED + b"2\r\n{}\r\n"), UNREACHABLE, None, INSIDE),
    row("reset before the response", Reply(b"", Then.RESET), UNREACHABLE, None, "connection reset"),
    row("reset inside the body", Reply(KNOWN_LENGTH, Then.RESET), UNREACHABLE, None, INSIDE),
]

INVALID_HTTP = [
    row("garbage", Reply(b"\x00\x01\x02 garbage\r\n\r\n"), MALFORMED, None, NOT_HTTP),
    row("another protocol", Reply(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), MALFORMED, None, NOT_HTTP),
    row("huge header", Reply(HEAD + b"X: " + b"a" * 100_000 + b"\r\n\r\n"), MALFORMED, None, NOT_HTTP),
    row("too many headers", Reply(HEAD + b"X: a\r\n" * 5_000 + b"\r\n"), MALFORMED, None, NOT_HTTP),
    row("huge Content-Length", Reply(HEAD + b"Content-Length: " + b"9" * 5_000), MALFORMED, None, NOT_HTTP),
    row("negative Content-Length", Reply(HEAD + b"Content-Length: -1\r\n\r\n{}"), MALFORMED, None, NOT_HTTP),
    row(
        "two Content-Length headers",
        response("200 OK", GROUP, "Content-Length: 3"),
        MALFORMED,
        None,
        NOT_HTTP,
    ),
    row("invalid chunk size", Reply(CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n"), MALFORMED, None, NOT_HTTP),
]

STATUSES = [
    status("101 Switching Protocols", MALFORMED),
    status("201 Created", MALFORMED),
    status("204 No Content", MALFORMED),
    status("301 Moved Permanently", Cause.CLIENT_ERROR),
    status("304 Not Modified", Cause.CLIENT_ERROR),
    status("400 Bad Request", Cause.CLIENT_ERROR),
    status("401 Unauthorized", Cause.UNAUTHORIZED),
    status("402 Payment Required", Cause.CLIENT_ERROR),
    status("403 Forbidden", Cause.UNAUTHORIZED),
    status("404 Not Found", Cause.NOT_FOUND),
    status("408 Request Timeout", Cause.CLIENT_ERROR),
    status("409 Conflict", Cause.CLIENT_ERROR),
    status("410 Gone", Cause.NOT_FOUND),
    status("422 Unprocessable Entity", Cause.CLIENT_ERROR),
    status("429 Too Many Requests", Cause.RATE_LIMITED),
    status("500 Internal Server Error", Cause.SERVER_ERROR),
    status("502 Bad Gateway", Cause.SERVER_ERROR),
    status("503 Service Unavailable", Cause.SERVER_ERROR),
    status("599 Odd", Cause.SERVER_ERROR),
    status("999 Odder", MALFORMED),
    row(
        "302 with a Location",
        response("302 Found", b"", "Location: /x"),
        Cause.CLIENT_ERROR,
        302,
        "302 Found",
    ),
    row("404 without a reason phrase", response("404"), Cause.NOT_FOUND, 404, "404 Not Found"),
    row(
        "500 with an unprintable reason phrase",
        response("500 \xfc\x1b["),
        Cause.SERVER_ERROR,
        500,
        r"500 ?\x1b[",
    ),
]

ERROR_BODIES = [
    status(
        "402 No", Cause.CLIENT_ERROR, {"type": "error", "error": {"ref_id": "r", "message": "Pay"}}, ": Pay"
    ),
    status("403 No", Cause.UNAUTHORIZED, {"detail": "Slow\n \x1b[1mdown"}, r": Slow \x1b[1mdown"),
    status(
        "422 No", Cause.CLIENT_ERROR, {"detail": [{"loc": ["path"], "msg": "Short", "type": "t"}]}, ": Short"
    ),
    status("503 with HTML", Cause.SERVER_ERROR, PAGE),
    status("503 with an unexpected shape", Cause.SERVER_ERROR, {"detail": {"secret": "plan"}}),
    status("503 with unexpected types", Cause.SERVER_ERROR, {"error": {"message": 5}, "detail": []}),
    status("503 with deep nesting", Cause.SERVER_ERROR, b"[" * 1_900),
    status("503 with bytes", Cause.SERVER_ERROR, b"\xff\xfe"),
    status("503 with an oversize body", Cause.SERVER_ERROR, OVERSIZE),
    row(
        "429 closed inside the body",
        Reply(b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 99\r\n\r\n{"),
        *(Cause.RATE_LIMITED, 429, "429 Slow"),
        wait=7.0,
    ),
    row(
        "429 hangs inside the body",
        Reply(b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 99\r\n\r\n{", Then.HANG),
        *(Cause.RATE_LIMITED, 429, "429 Slow"),
        wait=7.0,
        hangs=True,
    ),
]

RETRY_AFTERS = [
    retry_after("seconds", "Retry-After: 7", 7.0),
    retry_after("no seconds", "Retry-After: 0", 0.0),
    retry_after("a fraction", "Retry-After: 2.5", 2.5),
    retry_after("a date", "Retry-After: Tue, 24 Nov 2026 12:00:30 GMT", 30.0),
    retry_after("a date that has passed", "Retry-After: Tue, 24 Nov 2026 11:59:30 GMT", None),
    retry_after("an invalid date", "Retry-After: Tue, 99 Nov 2026 12:00:30 GMT", None),
    retry_after(
        "a date a century off", "Retry-After: Fri, 24 Nov 2126 12:00:00 GMT", MAX_RETRY_AFTER_SECONDS
    ),
    retry_after("milliseconds", "retry-after-ms: 250", 0.25),
    retry_after("milliseconds before seconds", "retry-after: 9\nretry-after-ms: 1500", 1.5),
    retry_after("invalid milliseconds", "retry-after: 9\nretry-after-ms: soon", 9.0),
    retry_after("a negative number", "Retry-After: -5", None),
    retry_after("negative milliseconds", "retry-after-ms: -5", None),
    retry_after("a large number", "Retry-After: 1000000", MAX_RETRY_AFTER_SECONDS),
    retry_after("a huge number", f"Retry-After: {'9' * 4000}", MAX_RETRY_AFTER_SECONDS),
    retry_after("NaN", "Retry-After: NaN", None),
    retry_after("infinity", "Retry-After: inf", None),
    retry_after("an exponent", "Retry-After: 1e3", None),
    retry_after("words", "Retry-After: in a while", None),
    retry_after("nothing", "Retry-After:", None),
    retry_after("bytes", "Retry-After: \xff\xfe", None),
]

BODIES = [
    body("HTML", PAGE, "an HTML page instead of JSON"),
    body("HTML after space", b"\n <!DOCTYPE html><p>no", "an HTML page instead of JSON"),
    body("nothing", b"", "not JSON: Expecting value at character 0"),
    body("truncated JSON", b'{"status": {', Prefix("not JSON: ")),
    body("trailing data", b'{"status": {}} x', "not JSON: Extra data at character 15"),
    body("NaN", b'{"status": {"x": NaN}}', "not JSON: NaN"),
    body("duplicate keys", b'{"status": {}, "status": {}}', "duplicate key 'status'"),
    body("duplicate keys inside", b'{"status": {"a": 1, "\\u0061": 1}}', "duplicate key 'a'"),
    body("a lone surrogate", b'{"status": {}, "x": "\\ud800"}', "a lone surrogate in a string"),
    body("a lone surrogate in a key", b'{"status": {"\\udfff": 1}}', "a lone surrogate in a string"),
    body("a byte order mark", b"\xef\xbb\xbf" + json.dumps(GROUP).encode(), Prefix("not JSON: ")),
    body("bytes that are not UTF-8", b'{"status": {}, "x": "\xff"}', "not UTF-8 at byte 21"),
    body("UTF-16", json.dumps(GROUP).encode("utf-16"), "not UTF-8 at byte 0"),
    body(
        "deep nesting",
        b'{"status": {}, "x": ' + b"[" * 900 + b"]" * 900 + b"}",
        "nested more than 256 levels deep",
    ),
    body("an array", b'[{"status": {}}]', "not a JSON object"),
    body("null", b"null", "not a JSON object"),
    body("no status", b'{"taskgroup_id": "tgrp_1"}', "no object `status`"),
    body("a string as status", b'{"status": "ok"}', "no object `status`"),
    body("an array as status", b'{"status": [{}]}', "no object `status`"),
    body("null as status", b'{"status": null}', "no object `status`"),
    row(
        "200 with a Retry-After",
        response("200 OK", b"1", "Retry-After: 5"),
        MALFORMED,
        200,
        "not a JSON object",
        wait=5.0,
    ),
    *(
        row(
            f"200 in {encoding}",
            response("200 OK", packed, f"Content-Encoding: {encoding}"),
            MALFORMED,
            200,
            ENCODED,
        )
        for packed in [gzip.compress(json.dumps(GROUP).encode())]
        for encoding in ("gzip", "GZIP", "br", "gzip, identity")
    ),
    row(
        "oversize Content-Length",
        Reply(HEAD + b"Content-Length: 2001\r\n\r\n", Then.HANG),
        Cause.TOO_LARGE,
        200,
        TOO_LARGE,
    ),
    row(
        "oversize in chunks",
        Reply(CHUNKED + b"7d1\r\n" + OVERSIZE, Then.HANG),
        Cause.TOO_LARGE,
        200,
        TOO_LARGE,
    ),
    row(
        "oversize without a length",
        Reply(HEAD + b"\r\n" + OVERSIZE, Then.HANG),
        Cause.TOO_LARGE,
        200,
        TOO_LARGE,
    ),
]


@pytest.mark.parametrize(
    ("upstream", "failure", "timeout_seconds"),
    [*NO_CONNECTION, *INCOMPLETE_RESPONSE, *INVALID_HTTP, *STATUSES, *ERROR_BODIES, *RETRY_AFTERS, *BODIES],
)
def test_each_failure_has_its_cause_and_detail(
    upstream: Endpoint | Reply, failure: Failure, timeout_seconds: float
) -> None:
    async def scenario() -> None:
        async with endpoint_of(upstream) as url, client(url, timeout_seconds=timeout_seconds) as polling:
            outcome = await polling.poll("tgrp_1")
        assert outcome == failure
        assert isinstance(outcome, Failure)
        assert len(outcome.detail) <= MAX_CHARACTERS
        assert outcome.detail.isascii()
        assert outcome.detail.isprintable()

    asyncio.run(scenario())
