"""Telling sinks: one HTTP request for a webhook, and Apprise for everything else."""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from types import ModuleType, TracebackType
from typing import Self, TypeVar

import aiohttp

from recorder.clock import Clock
from recorder.notify.events import Event
from recorder.notify.sinks import Sink, SinkKind
from recorder.notify.standard_webhooks import webhook_body, webhook_headers
from recorder.notify.wording import text_of_event, title_of
from recorder.upstream.error_causes import NETWORK_ERRORS, classify
from recorder.upstream.resolver import Resolver

SEND_SECONDS = 15.0
"""How long an attempt may take in all."""
MAX_ANSWER_BYTES = 65_536
"""What is read of an answer at most; nothing in it is used."""
_IDLE_SECONDS = 4.0
_STATUS = re.compile(r"\berror\W{1,2}(\d{3})\b")

_reasons: ContextVar[list[str]] = ContextVar("reasons")
"""Why an attempt of Apprise failed. Apprise runs it in threads of its own, with the context of the caller."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SinkAnswer:
    """What a sink said: `error` is None if it took the event; if it is `gone`, it wants no more."""

    error: str | None = None
    gone: bool = False


class Sender:
    """Tells sinks of events. It must be closed, and used within one event loop."""

    def __init__(self, now: Clock, deadline_seconds: float = SEND_SECONDS) -> None:
        self._now = now
        self._deadline_seconds = deadline_seconds
        self._threads: set[threading.Thread] = set()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=_IDLE_SECONDS,
                resolver=Resolver(),
                ssl=ssl.create_default_context(),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.close()

    @property
    def stuck(self) -> bool:
        """Whether an attempt that was given up has not ended, and keeps the process from exiting."""
        return any(thread.is_alive() for thread in self._threads)

    async def send(self, sink: Sink, message_id: str, event: Event) -> SinkAnswer:
        """Tell a sink of an event once. Whatever goes wrong is the answer, in words without secrets."""
        if sink.kind is SinkKind.WEBHOOK:
            return await self._post(sink, message_id, event)
        return await self._notify(sink, event)

    async def _post(self, sink: Sink, message_id: str, event: Event) -> SinkAnswer:
        body = webhook_body(event)
        headers = webhook_headers(sink.key or b"", message_id, body, self._now())
        headers["user-agent"] = f"task-group-recorder/{version('task-group-recorder')}"
        status = None
        try:
            async with (
                asyncio.timeout(self._deadline_seconds),
                self._session.post(
                    sink.address, data=body, headers=headers, allow_redirects=False
                ) as response,
            ):
                status = response.status
                await _drain(response)
        except NETWORK_ERRORS as error:
            # Once there is a status, the sink has decided.
            if status is None:
                return SinkAnswer(classify(error)[1])
        return answer_of_status(status)

    async def _notify(self, sink: Sink, event: Event) -> SinkAnswer:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return await self._in_thread(lambda: _notify_now(sink.address, event))
        except TimeoutError:
            return SinkAnswer("no complete answer in time")
        except Exception as error:
            # Whatever a service of Apprise raises; its text may be secret.
            return SinkAnswer(f"Apprise failed: {type(error).__name__}")

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        """Run `work` in a thread, which is abandoned if it takes too long."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_T] = loop.create_future()

        def finish(result: _T | None, error: Exception | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(result)  # type: ignore[arg-type]
            else:
                done.set_exception(error)

        def run() -> None:
            result = error = None
            try:
                result = work()
            except Exception as caught:
                error = caught
            with suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(finish, result, error)

        thread = threading.Thread(target=run, name="recorder-notify", daemon=True)
        self._threads = {thread, *filter(threading.Thread.is_alive, self._threads)}
        thread.start()
        return await done


def answer_of_status(status: int) -> SinkAnswer:
    """Return what a webhook means by an HTTP status. A redirect is not followed, so it is an error."""
    if 200 <= status < 300:
        return SinkAnswer()
    with suppress(ValueError):
        return SinkAnswer(f"{status} {HTTPStatus(status).phrase}", gone=status == HTTPStatus.GONE)
    return SinkAnswer(str(status))


def knows_service(address: str) -> bool:
    """Whether Apprise knows the service of an address."""
    return bool(_apprise().Apprise().add(address))


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read the rest of an answer, so that the connection can be used again, unless it is too long."""
    left = MAX_ANSWER_BYTES
    async for chunk in response.content.iter_any():
        left -= len(chunk)
        if left < 0:
            response.close()
            return


def _notify_now(address: str, event: Event) -> SinkAnswer:
    apprise = _apprise()
    service = apprise.Apprise()
    if not service.add(address):
        return SinkAnswer("Apprise does not know this service")
    reasons: list[str] = []
    _reasons.set(reasons)
    text = {"title": title_of(event), "body": text_of_event(event), "body_format": apprise.NotifyFormat.TEXT}
    return (
        SinkAnswer() if service.notify(**text) else SinkAnswer((*reasons, "the service did not take it")[0])
    )


def _apprise() -> ModuleType:
    # It takes half a second and 35 MB, which only those pay who use it.
    import apprise  # noqa: PLC0415

    logger = logging.getLogger("apprise")
    if not any(isinstance(handler, _ApprisesWords) for handler in logger.handlers):
        logger.propagate = False
        logger.addHandler(_ApprisesWords())
    return apprise


class _ApprisesWords(logging.Handler):
    """Takes from Apprise's log the HTTP statuses, and whether there was no connection; all else that it says
    may be secret."""

    def emit(self, record: logging.LogRecord) -> None:
        reasons, message = _reasons.get(None), record.getMessage()
        if reasons is None:
            return
        if (found := _STATUS.search(message)) is not None:
            reasons.append(f"the service answered {answer_of_status(int(found[1])).error}")
        elif "connection error" in message.lower():
            reasons.append("the service cannot be reached")
