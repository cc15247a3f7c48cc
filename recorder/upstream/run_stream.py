"""Reading the upstream's snapshot of a group's runs: a stream of events that ends by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import httpx

from recorder.ledger.poll_outcome import Cause
from recorder.ledger.run_claims import MalformedEventError, RunClaim, UpstreamReportedError, read_run_event
from recorder.upstream.client import request_headers
from recorder.upstream.error_causes import NETWORK_ERRORS, PollFailedError, cause_of_status, classify
from recorder.upstream.event_stream import EventReader
from recorder.upstream.http import http_transport
from recorder.upstream.redaction import error_message, plain_detail

MOST_STREAMED_RUNS = 1_000_000
MOST_BYTES = 2**31
"""The largest snapshot that is read; a stream that never ends is stopped by these, too."""
_ERROR_BYTES = 65_536


class RunStreamError(Exception):
    """A snapshot could not be read to its end; the text says why, without the API key."""


@dataclass(frozen=True, slots=True)
class RunSource:
    """Where and how to ask: as for polls.

    `timeout_seconds` limits each wait for more of the stream, `whole_seconds` the stream as a whole.
    """

    base_url: str
    prefix: str
    api_key: str
    timeout_seconds: float
    max_event_bytes: int
    whole_seconds: float = 600.0


async def read_runs(source: RunSource, taskgroup_id: str, take: Callable[[RunClaim], None]) -> None:
    """Ask for the runs of a group once, and have `take` take each of them as it arrives.

    One event is kept in memory at a time. A run may come more than once.

    Raises:
        RunStreamError: what was taken is not all of the snapshot, and not to be used.
    """
    transport = http_transport(api_key=source.api_key, connections=1)
    try:
        async with asyncio.timeout(source.whole_seconds):
            await _read(source, taskgroup_id, take, transport)
    except MalformedEventError as error:
        raise RunStreamError(plain_detail(f"malformed: {error}", source.api_key)) from None
    except UpstreamReportedError as error:
        raise RunStreamError(plain_detail(f"the upstream reported: {error}", source.api_key)) from None
    except NETWORK_ERRORS as error:
        cause, text = classify(error)
        raise RunStreamError(plain_detail(f"{cause.value}: {text}", source.api_key)) from None
    finally:
        await transport.aclose()


async def _read(
    source: RunSource,
    taskgroup_id: str,
    take: Callable[[RunClaim], None],
    transport: httpx.AsyncBaseTransport,
) -> None:
    path = f"{source.prefix.rstrip('/')}/tasks/groups/{quote(taskgroup_id, safe='')}/runs"
    headers = {**request_headers(), "accept": "text/event-stream"}
    request = httpx.Request("GET", f"{source.base_url.rstrip('/')}{path}", headers=headers)
    async with asyncio.timeout(source.timeout_seconds):
        response = await transport.handle_async_request(request)
    try:
        if response.status_code != 200:
            raise await _refusal(response, source)
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "text/event-stream":
            raise PollFailedError(Cause.MALFORMED, "the response is not a stream of events")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise PollFailedError(Cause.MALFORMED, "a Content-Encoding that was not asked for")
        await _take_events(response, source, taskgroup_id, take)
    finally:
        await response.aclose()


async def _take_events(
    response: httpx.Response, source: RunSource, taskgroup_id: str, take: Callable[[RunClaim], None]
) -> None:
    reader = EventReader(source.max_event_bytes)
    runs = size = 0
    chunks = response.aiter_raw()
    ended = False
    while not ended:
        async with asyncio.timeout(source.timeout_seconds):
            chunk = await anext(chunks, b"")
        ended = not chunk
        size += len(chunk)
        for said in reader.finish() if ended else reader.feed(chunk):
            if (claim := read_run_event(said, taskgroup_id)) is not None:
                take(claim)
                runs += 1
        if runs > MOST_STREAMED_RUNS or size > MOST_BYTES:
            most = f"more than {MOST_STREAMED_RUNS} runs or {MOST_BYTES} bytes, or a stream without an end"
            raise PollFailedError(Cause.TOO_LARGE, most)
    if reader.inside_an_event:
        raise PollFailedError(Cause.MALFORMED, "the stream ends inside an event")


async def _refusal(response: httpx.Response, source: RunSource) -> PollFailedError:
    body = b""
    async with asyncio.timeout(source.timeout_seconds):
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > _ERROR_BYTES:
                break
    text = f"{response.status_code} {response.reason_phrase}".rstrip()
    if (message := error_message(body)) is not None:
        text += f": {message}"
    return PollFailedError(cause_of_status(response.status_code), text)
