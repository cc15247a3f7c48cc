"""What applies to all responses: OPTIONS, cross-origin access (CORS) and compression."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Iterator

from flask import Flask, Response, request
from werkzeug.exceptions import MethodNotAllowed

COMPRESS_FROM_BYTES = 1000
"""Compressing shorter responses would not save a packet."""
_LEVEL = 5
_GZIP = 16 + zlib.MAX_WBITS
_ALLOWED_HEADERS = "Authorization, x-api-key, Accept, If-None-Match"
_EXPOSED_HEADERS = "ETag, Link, Retry-After, Age, Last-Modified, Content-Disposition, X-Total-Items"
_COMPRESSIBLE = (
    "application/json",
    "application/problem+json",
    "application/x-ndjson",
    "image/svg+xml",
    "text/css",
    "text/csv",
    "text/html",
    "text/javascript",
    "text/plain",
)


def register_transport(app: Flask, origins: Collection[str]) -> None:
    """Let pages of `origins` read responses, and compress responses; call this before `register_access`."""
    app.after_request(_compressed)

    @app.before_request
    def answer_preflight() -> Response | None:
        # Browsers send preflight requests without a token.
        is_preflight = "Access-Control-Request-Method" in request.headers
        return answer_options() if is_preflight and request.headers.get("Origin") in origins else None

    @app.after_request
    def add_cors_headers(response: Response) -> Response:
        if origins:
            response.vary.add("Origin")
            origin = request.headers.get("Origin")
            if origin in origins:
                response.headers["Access-Control-Allow-Origin"] = origin
                response.headers["Access-Control-Expose-Headers"] = _EXPOSED_HEADERS
                if request.method == "OPTIONS":
                    response.headers["Access-Control-Allow-Methods"] = "GET, HEAD"
                    response.headers["Access-Control-Allow-Headers"] = _ALLOWED_HEADERS
                    response.headers["Access-Control-Max-Age"] = "600"
        return response


def answer_options() -> Response | None:
    """Answer an OPTIONS request with the methods that its path accepts; None for other requests."""
    refusal = request.routing_exception
    if request.method != "OPTIONS" or not isinstance(refusal, MethodNotAllowed):
        return None
    allowed = sorted({*(refusal.valid_methods or ()), "OPTIONS"})
    response = Response(status=204, headers={"Allow": ", ".join(allowed)})
    del response.headers["Content-Type"]
    return response


def _compressed(response: Response) -> Response:
    if response.mimetype not in _COMPRESSIBLE or "Content-Encoding" in response.headers:
        return response
    long = response.is_streamed or (response.content_length or 0) >= COMPRESS_FROM_BYTES
    if response.status_code != 200 or not long:
        return response
    response.vary.add("Accept-Encoding")
    # A stream whose length is given needs it: without it, an HTTP/1.0 client could not tell that it was cut.
    needs_length = response.is_streamed and response.content_length is not None
    if needs_length or not request.accept_encodings["gzip"]:
        return response
    streamed, parts = response.is_streamed, _gzipped(response.iter_encoded())
    response.headers["Content-Encoding"] = "gzip"
    if streamed:
        response.response = parts
    else:
        response.set_data(b"".join(parts))
    return response


def _gzipped(parts: Iterable[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    for part in parts:
        compressed = compressor.compress(part)
        if compressed:
            yield compressed
    yield compressor.flush()
