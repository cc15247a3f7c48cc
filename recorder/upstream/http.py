"""How HTTP is spoken: httpx over aiohttp, without cookies, redirects, proxies, compression or retries."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import quote

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from recorder.upstream.error_causes import NETWORK_ERRORS, PollFailedError, classify
from recorder.upstream.redaction import redacted
from recorder.upstream.resolver import Resolver

IDLE_SECONDS = 4.0
"""How long a connection is kept for the next request: less than the 5 s after which many servers close it.

A request sent in the moment of the server's closing would get no answer, and be a failed poll.
"""


def http_client(*, headers: Mapping[str, str], api_key: str, connections: int) -> httpx.AsyncClient:
    """A client with its own connection pool and no timeouts; whoever made it closes it.

    One call is one request, and what goes wrong before the head of an answer is a PollFailedError.
    """
    tls = ssl.create_default_context()

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=connections, keepalive_timeout=IDLE_SECONDS, resolver=Resolver(), ssl=tls
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=[_Wire(api_key)],
            trust_env=False,
        )

    return httpx.AsyncClient(
        transport=AiohttpTransport(client=session, verify=tls, trust_env=False),
        headers=headers,
        # httpx has a jar of its own, beside the session's.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=httpx.Timeout(None),
        follow_redirects=False,
        event_hooks={"response": [_forget_location]},
        trust_env=False,
    )


async def _forget_location(response: httpx.Response) -> None:
    # httpx parses a Location even where it does not follow it, and raises if it is no URL.
    response.headers.pop("location", None)


class _Wire:
    """What is done to a request as it goes out, and to the head of its answer as it comes in.

    The API key is added here, so that no object of httpx shows it.
    """

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        # aiohttp writes some reserved characters of a path bare that were given percent-encoded.
        url = request.url
        folder = url.raw_path.rpartition("/")[0]
        request.url = url.with_path(f"{folder}/{quote(url.name, safe='')}", encoded=True)
        request.headers["x-api-key"] = self._api_key
        try:
            response = await handler(request)
        except NETWORK_ERRORS as error:
            # On some of its own errors aiohttp sends the request once more, unseen: a poll that fails would
            # be two requests and count as one. Others show the request's headers in their repr.
            raise PollFailedError(*classify(error)) from None
        response.reason = self._presentable(response.reason or "")
        return response

    def _presentable(self, reason: str) -> str:
        # The transport encodes the phrase as UTF-8 and fails on bytes that never were UTF-8; httpx logs it.
        return redacted(reason.encode("ascii", "replace").decode("ascii"), self._api_key)
