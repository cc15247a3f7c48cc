"""How HTTP is spoken: httpx over aiohttp, without cookies, redirects, proxies or compression."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import quote

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport


def http_client(*, headers: Mapping[str, str], connections: int) -> httpx.AsyncClient:
    """A client with its own connection pool and no timeouts; whoever made it closes it."""
    tls = ssl.create_default_context()

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=[_exact],
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


async def _exact(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    # aiohttp writes some reserved characters of a path bare that were given percent-encoded.
    url = request.url
    folder = url.raw_path.rpartition("/")[0]
    request.url = url.with_path(f"{folder}/{quote(url.name, safe='')}", encoded=True)
    response = await handler(request)
    # The transport encodes the phrase as UTF-8 and fails on bytes that never were UTF-8.
    response.reason = (response.reason or "").encode("ascii", "replace").decode("ascii")
    return response
