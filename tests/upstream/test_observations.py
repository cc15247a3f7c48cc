"""Every kind of response that counts as an observation, over real sockets."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path

import pytest
import trustme

from recorder.ledger.poll_outcome import Failure, Observation
from recorder.ledger.response_body import parse_body
from tests.support.stub_server import GROUP, OK, Reply, Then, response, serving, tls_context
from tests.upstream.clients import MAX_BODY_BYTES, NOON, client, outcome_of

HEAD = b"HTTP/1.1 200 OK\r\n"
RAW = json.dumps(GROUP).encode()


def chunked(raw: bytes) -> bytes:
    return (
        b"".join(b"%x;odd=1\r\n%b\r\n" % (len(piece), piece) for piece in (raw[:7], raw[7:])) + b"0\r\n\r\n"
    )


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(OK, id="plain"),
        pytest.param(response("200 OK", GROUP, "Content-Encoding: Identity"), id="identity"),
        pytest.param(
            response("200 \xff\xfe", GROUP, "X-Odd: \xff"), id="bytes in the head that are not UTF-8"
        ),
        pytest.param(
            response("200", GROUP, "Content-Type: text/html"), id="no reason phrase, another content type"
        ),
        pytest.param(response("200 OK", GROUP, "Location: http://["), id="invalid Location"),
        pytest.param(Reply(HEAD + b"\r\n" + RAW), id="until the connection closes"),
        pytest.param(Reply(HEAD.replace(b"1.1", b"1.0") + b"\r\n" + RAW), id="HTTP/1.0"),
        pytest.param(Reply(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(RAW)), id="in chunks"),
        pytest.param(Reply(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK.data, Then.KEEP), id="after a 103"),
        pytest.param(response("200 OK", RAW + b" " * (MAX_BODY_BYTES - len(RAW))), id="maximum size"),
    ],
)
def test_a_response_with_a_group_is_an_observation(reply: Reply) -> None:
    assert outcome_of(reply) == Observation(NOON, NOON, parse_body(RAW))


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> trustme.CA:
    """A certificate authority that the clients of this test trust."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return authority


def poll_over_tls(tls: ssl.SSLContext, host: str) -> Observation | Failure:
    async def scenario() -> Observation | Failure:
        async with serving(OK, tls=tls) as server, client(f"https://{host}:{server.port}") as upstream:
            return await upstream.poll("tgrp_1")

    return asyncio.run(scenario())


def test_a_trusted_certificate_is_accepted(authority: trustme.CA) -> None:
    tls = tls_context("localhost", authority=authority)
    assert poll_over_tls(tls, "localhost") == Observation(NOON, NOON, parse_body(RAW))


def test_a_trusted_certificate_for_another_name_is_rejected(authority: trustme.CA) -> None:
    outcome = poll_over_tls(tls_context("localhost", authority=authority), "127.0.0.1")
    assert isinstance(outcome, Failure)
    assert outcome.detail.startswith("TLS: certificate verify failed: IP address mismatch")
