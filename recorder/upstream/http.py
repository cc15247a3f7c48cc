"""The HTTP transport: httpx on aiohttp, without cookies, redirects, proxies, compression or retries."""

from __future__ import annotations

import ssl
from urllib.parse import quote

import aiohttp
from httpx_aiohttp import AiohttpTransport

from recorder.upstream.descriptors import NoDescriptorError, is_exhaustion
from recorder.upstream.error_causes import NETWORK_ERRORS, PollFailedError, classify
from recorder.upstream.redaction import redacted
from recorder.upstream.resolver import Resolver

IDLE_SECONDS = 4.0
"""How long an idle connection is kept; many servers close theirs after 5 s.

A request sent just as the server closes the connection gets no response, and the poll fails.
"""


def http_transport(*, api_key: str, connections: int) -> AiohttpTransport:
    """Return a transport with its own connection pool and no timeouts; the caller must close it.

    It is used without httpx's client, whose cookies, redirects, hooks and log are not wanted and cost as much
    as the transport itself. One call sends exactly one request. Errors before the head of a response are
    raised as PollFailedError, or as NoDescriptorError if it was not sent because no file descriptor was left.
    """
    tls = ssl.create_default_context()

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=connections, keepalive_timeout=IDLE_SECONDS, resolver=Resolver(), ssl=tls
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=[_KeyMiddleware(api_key)],
            trust_env=False,
        )

    return AiohttpTransport(client=session, verify=tls, trust_env=False)


_ENCODED_STEPS = 2
"""The last steps of a path, among them the id of a group."""


class _KeyMiddleware:
    """Completes each outgoing request, and cleans the head of its response.

    The API key is added here so that no httpx object contains it.
    """

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        # aiohttp decodes some reserved characters that were percent-encoded in the path.
        url = request.url
        folder, *_ = url.raw_path.rsplit("/", _ENCODED_STEPS)
        steps = (quote(step, safe="") for step in url.parts[-_ENCODED_STEPS:])
        request.url = url.with_path("/".join((folder, *steps)), encoded=True)
        request.headers["x-api-key"] = self._api_key
        try:
            response = await handler(request)
        except NETWORK_ERRORS as error:
            if is_exhaustion(error):
                raise NoDescriptorError from None
            # aiohttp silently repeats the request after some of its own errors, so that one poll would be
            # two requests. The repr of other errors includes the request's headers.
            raise PollFailedError(*classify(error)) from None
        response.reason = self._presentable(response.reason or "")
        return response

    def _presentable(self, reason: str) -> str:
        # The transport encodes the phrase as UTF-8, which fails for undecodable bytes.
        return redacted(reason.encode("ascii", "replace").decode("ascii"), self._api_key)
