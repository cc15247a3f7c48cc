"""The hook in the SDK's HTTP client: it copies the responses that create a group or add runs to one."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx

_PATH = re.compile(r"/tasks/groups(?:/(?P<group>[^/]+)/runs)?/?$")
LARGEST_RESPONSE_BYTES = 4 << 20
"""Of a longer response nothing is kept: no group or list of runs is that large."""

Take = Callable[["Seen"], None]


class Seen:
    """A response that created a group, or added runs to the group of the path `group`, as raw bytes."""

    __slots__ = ("body", "encoding", "group")

    def __init__(self, group: str | None, body: bytes, encoding: str | None) -> None:
        self.group = group
        self.body = body
        self.encoding = encoding


def install(client: Any, take: Take) -> Callable[[httpx.Response], Any]:
    """Add the hook to the HTTP client of an SDK client, and return it. `take` must return at once.

    Raises:
        TypeError: `client` is not a client of the SDK.
    """
    http = getattr(client, "_client", None)
    if not isinstance(http, httpx.Client | httpx.AsyncClient):
        raise TypeError(f"attach needs a client of the SDK, Parallel or AsyncParallel, not {type(client)!r}")

    def tap(response: httpx.Response) -> None:
        with contextlib.suppress(Exception):
            _tap(response, take)

    async def tap_async(response: httpx.Response) -> None:
        tap(response)

    hook: Callable[[httpx.Response], Any] = tap if isinstance(http, httpx.Client) else tap_async
    hooks = http.event_hooks
    http.event_hooks = {**hooks, "response": [*hooks["response"], hook]}
    return hook


def remove(client: Any, hook: Callable[[httpx.Response], Awaitable[None] | None]) -> None:
    """Take a hook out of an SDK client again."""
    http = client._client
    hooks = http.event_hooks
    http.event_hooks = {**hooks, "response": [other for other in hooks["response"] if other is not hook]}


def _tap(response: httpx.Response, take: Take) -> None:
    if response.request.method != "POST" or not response.is_success:
        return
    match = _PATH.search(response.request.url.path)
    if match is None:
        return
    group, encoding = match["group"], response.headers.get("content-encoding")
    try:
        # Another hook may have read it already, and then nothing reads the stream any more.
        take(Seen(group, response.content, None))
    except httpx.ResponseNotRead:
        response.stream = _CopyingStream(response.stream, lambda body: take(Seen(group, body, encoding)))


class _CopyingStream(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A response's stream, which hands over a copy of the body when it has been read or is closed."""

    def __init__(self, stream: Any, done: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._done: Callable[[bytes], None] | None = done
        self._chunks: list[bytes] = []
        self._size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            self._copy(chunk)
            yield chunk
        self._hand_over()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._copy(chunk)
            yield chunk
        self._hand_over()

    def close(self) -> None:
        self._hand_over()
        self._stream.close()

    async def aclose(self) -> None:
        self._hand_over()
        await self._stream.aclose()

    def _copy(self, chunk: bytes) -> None:
        if self._size <= LARGEST_RESPONSE_BYTES:
            self._size += len(chunk)
            self._chunks.append(chunk)

    def _hand_over(self) -> None:
        done, self._done = self._done, None
        if done is not None:
            with contextlib.suppress(Exception):
                done(b"".join(self._chunks))
        self._chunks = []
