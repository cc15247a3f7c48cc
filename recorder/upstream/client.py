"""The client that polls groups."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from importlib.metadata import version
from types import TracebackType
from typing import Self
from urllib.parse import quote

import httpx

from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.upstream.error_causes import NETWORK_ERRORS, PollFailedError, classify
from recorder.upstream.http import http_transport
from recorder.upstream.interpret import Exchange, ReceivedResponse, interpret

_CODECS = ("idna", "unicode_escape", "utf_16_be")
"""The codecs that polls use. Python loads them when first used, and no file descriptor may be left then."""


_KEPT_REQUESTS = 10_000


class UpstreamClient:
    """Polls the upstream for the status of groups, under a `prefix` that may be changed.

    At most `concurrency` requests run at once; further polls wait, and their waiting does not count towards
    the timeout. `timeout_seconds` limits one request as a whole. Bodies larger than `max_body_bytes` are
    not read to the end. `now` returns the current time as an aware datetime.

    Raises:
        ValueError: the API key is not printable ASCII and cannot be sent in a header.
    """

    def __init__(
        self,
        *,
        base_url: str,
        prefix: str,
        api_key: str,
        timeout_seconds: float,
        max_body_bytes: int,
        concurrency: int,
        now: Callable[[], datetime],
    ) -> None:
        if not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("the API key must consist of printable ASCII characters")
        for codec in _CODECS:
            codecs.lookup(codec)
        self.prefix = prefix.rstrip("/")
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._timeout_seconds = timeout_seconds
        self._max_body_bytes = max_body_bytes
        self._turns = asyncio.Semaphore(concurrency)
        self._now = now
        self._transport = http_transport(api_key=api_key, connections=concurrency)
        self._closed = False
        self._headers = httpx.Headers(request_headers())
        # Making a request anew, with its URL and headers, would take a good part of a poll's time.
        self._request = lru_cache(_KEPT_REQUESTS)(self._new_request)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections; the client cannot be used afterwards."""
        self._closed = True
        await self._transport.aclose()

    async def poll(self, taskgroup_id: str) -> Observation | Failure:
        """Poll a group once. Anything that the upstream or the network does is an outcome, not an error.

        Raises:
            NoDescriptorError: the group was not polled, because no file descriptor was left.
            RuntimeError: the client is closed.
        """
        return await self.poll_under(self.prefix, taskgroup_id)

    async def poll_under(self, prefix: str, taskgroup_id: str) -> Observation | Failure:
        """Poll a group once as `poll` does, but under another prefix."""
        return interpret(await self.exchange(taskgroup_id, prefix), self._api_key)

    async def exchange(self, taskgroup_id: str, prefix: str) -> Exchange:
        """Ask for a group once, and return the response as it came.

        Raises:
            NoDescriptorError: the group was not asked for, because no file descriptor was left.
            RuntimeError: the client is closed.
        """
        if self._closed:
            # The transport would open a new session.
            raise RuntimeError("the client is closed")
        async with self._turns:
            return await self._exchange(taskgroup_id, prefix)

    async def _exchange(self, taskgroup_id: str, prefix: str) -> Exchange:
        response = ReceivedResponse()
        interruption = None
        asked_at = self._now()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._receive(self._request(taskgroup_id, prefix), response)
        except NETWORK_ERRORS as error:
            interruption = classify(error)
        ended_at = self._now()
        # The clock may have been set back meanwhile, but `asked_at` must not be after `ended_at`.
        return Exchange(min(asked_at, ended_at), ended_at, response, interruption)

    def _new_request(self, taskgroup_id: str, prefix: str) -> httpx.Request:
        url = f"{self._base_url}{prefix}/tasks/groups/{quote(taskgroup_id, safe='')}"
        return httpx.Request("GET", url, headers=self._headers)

    async def _receive(self, request: httpx.Request, received: ReceivedResponse) -> None:
        """Fill in `received` as data arrives, so that the head is known even if the body breaks off."""
        response = await self._transport.handle_async_request(request)
        try:
            received.status = response.status_code
            received.reason = response.reason_phrase
            received.headers = _plain_headers(response.headers)
            received.body = await self._body(response, received.headers)
        finally:
            await response.aclose()

    async def _body(self, response: httpx.Response, headers: Mapping[str, str]) -> bytes:
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise PollFailedError(Cause.MALFORMED, "a Content-Encoding that was not asked for")
        length = headers.get("content-length", "")
        self._refuse_larger(int(length) if length.isdecimal() else 0)
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            self._refuse_larger(len(body))
        return bytes(body)

    def _refuse_larger(self, size: int) -> None:
        if size > self._max_body_bytes:
            text = f"the body is larger than {self._max_body_bytes} bytes"
            raise PollFailedError(Cause.TOO_LARGE, text)


def request_headers() -> dict[str, str]:
    """Return the headers of a request for JSON, but for the key."""
    return {
        "accept": "application/json",
        "accept-encoding": "identity",
        "cache-control": "no-cache",
        "connection": "keep-alive",
        "user-agent": f"task-group-recorder/{version('task-group-recorder')}",
    }


def _plain_headers(headers: httpx.Headers) -> dict[str, str]:
    """Return headers by their names in lower case; those that came more than once are joined by commas."""
    plain: dict[str, str] = {}
    for name, value in headers.multi_items():
        plain[name] = f"{plain[name]}, {value}" if name in plain else value
    return plain
