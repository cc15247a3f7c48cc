"""The provider's routes, where its SDK can read groups from the recorder."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from hashlib import sha256

import httpx
import pytest
from flask import Flask
from parallel import AsyncParallel, InternalServerError, NotFoundError, Parallel
from sqlalchemy import Engine

from api.app import create_app
from api.context import context
from recorder.tokens import Token
from tests.support.api_client import Clock
from tests.support.recording import Recording, active
from tests.support.wsgi_server import serving

PREFIXES = ["/v1", "/v1beta"]
GROUP = "tgrp 1 ä"
MEMBERS = {
    "metadata": {"customer": "acme"},
    "created_at": "2026-11-24T11:59:00.5+02:00",
    "news": [1, 2.5],
}


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    with serving(app) as url:
        yield url


def _record(engine: Engine) -> None:
    recording = Recording(engine)
    recording.watch(GROUP)
    recording.see(GROUP, 10, active(running=2), **MEMBERS)
    recording.see(GROUP, 20, active(running=2), **MEMBERS)
    recording.watch("tgrp_never")


pytestmark = pytest.mark.ledger(fill=_record)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_body_is_returned_unchanged(app: Flask, clock: Clock, prefix: str) -> None:
    clock.seconds = 62.9
    response = app.test_client().get(f"{prefix}/tasks/groups/tgrp%201%20%C3%A4")
    assert response.get_json() == {"taskgroup_id": GROUP, "status": active(running=2), **MEMBERS}
    assert response.headers["Age"] == "42"
    assert response.headers["Last-Modified"] == "Tue, 24 Nov 2026 12:00:10 GMT"


def test_numbers_keep_their_precision(app: Flask, recording: Recording) -> None:
    recording.watch("tgrp_2")
    body = '{"taskgroup_id":"tgrp_2","status":{"num_task_runs":12345678901234567890123}, "x": 1.10}'
    recording.see_raw("tgrp_2", 5, body)
    assert app.test_client().get("/v1/tasks/groups/tgrp_2").get_data(as_text=True) == body


@pytest.mark.parametrize("prefix", PREFIXES)
def test_errors_have_the_providers_shape(app: Flask, prefix: str) -> None:
    for group, status in {"nobody": 404, "tgrp_never": 503, "a/b": 404}.items():
        response = app.test_client().get(f"{prefix}/tasks/groups/{group}")
        assert response.status_code == status
        body = response.get_json()
        assert body["type"] == "error" and body["error"].keys() == {"ref_id", "message", "detail"}
        assert ("Retry-After" in response.headers) is (status == 503)


def test_the_sdk_key_is_accepted_as_a_token(app: Flask) -> None:
    with app.app_context():
        engine = context().engine
    guarded = create_app(engine, tokens=[Token("sdk", sha256(b"secret").hexdigest())]).test_client()
    path = "/v1/tasks/groups/tgrp%201%20%C3%A4"
    assert guarded.get(path, headers={"x-api-key": "secret"}).status_code == 200
    refused = guarded.get(path, headers={"x-api-key": "wrong"})
    assert refused.status_code == 401 and refused.get_json()["type"] == "error"


class PrefixTransport(httpx.HTTPTransport):
    """Sends the SDK's requests for /v1 to another prefix."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(path=request.url.path.replace("/v1/", f"{self._prefix}/", 1))
        return super().handle_request(request)


class AsyncPrefixTransport(httpx.AsyncHTTPTransport):
    """`PrefixTransport` for the asynchronous SDK."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(path=request.url.path.replace("/v1/", f"{self._prefix}/", 1))
        return await super().handle_async_request(request)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_sdk_reads_groups(url: str, prefix: str) -> None:
    http = httpx.Client(transport=PrefixTransport(prefix))
    with Parallel(api_key="none", base_url=url, max_retries=0, http_client=http) as sdk:
        group = sdk.task_group.retrieve(GROUP)
        assert group.task_group_id == GROUP
        assert (group.status.is_active, group.status.num_task_runs) == (True, 2)
        assert group.status.task_run_status_counts == {"running": 2}
        with pytest.raises(NotFoundError, match="was ever watched"):
            sdk.task_group.retrieve("nobody")
        with pytest.raises(InternalServerError, match="has not been seen yet"):
            sdk.task_group.retrieve("tgrp_never")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_asynchronous_sdk_reads_groups(url: str, prefix: str) -> None:
    async def read() -> int:
        http = httpx.AsyncClient(transport=AsyncPrefixTransport(prefix))
        async with AsyncParallel(api_key="none", base_url=url, max_retries=0, http_client=http) as sdk:
            return (await sdk.task_group.retrieve(GROUP)).status.num_task_runs

    assert asyncio.run(read()) == 2
